"""The files of a repository as plain data, and as the archive that carries them into a box.

Knows nothing of git or boxes.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agentsd.errors import DataError

MAX_BYTES = 60 * 2**20
"""Of one tree: what one command's input may be, less room for headers."""
MAX_FILES = 50_000


@dataclass(frozen=True, slots=True)
class File:
    """A regular file, or a symbolic link where ``target`` is given."""

    data: bytes = b""
    is_executable: bool = False
    target: str | None = None


Files = Mapping[str, File]
"""By path in the tree, with slashes."""


def text_files(texts: Mapping[str, str]) -> dict[str, File]:
    """Plain files of these texts."""
    return {path: File(text.encode()) for path, text in texts.items()}


def read_folder(folder: Path) -> dict[str, File]:
    """Everything below a folder that is not under version control. Raises ``DataError``."""
    found: dict[str, File] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each != ".git")
        links = [each for each in folders if Path(parent, each).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(parent, name)
            if file := _file(path):
                found[path.relative_to(folder).as_posix()] = file
    return checked(found, str(folder))


def read_tarball(path: Path) -> dict[str, File]:
    """The files of an archive, without the one folder that holds them all, if there is one.

    Raises ``DataError`` for what is no archive, or has names that lead out of it.
    """
    found: dict[str, File] = {}
    rest = MAX_BYTES
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if not (member.isreg() or member.issym()):
                    continue
                rest -= member.size
                if rest < 0:
                    raise DataError(f"{path}: holds more than {MAX_BYTES >> 20} MiB")
                found[_inside(path, member.name)] = _member(archive, member)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a tar archive: {error}") from error
    return checked(_without_top(found), str(path))


def checked(files: dict[str, File], source: str) -> dict[str, File]:
    """The files themselves. Raises ``DataError`` when there are none, or too many."""
    size = sum(len(file.data) for file in files.values())
    if not files:
        raise DataError(f"{source}: holds no files")
    if size > MAX_BYTES or len(files) > MAX_FILES:
        raise DataError(
            f"{source}: {len(files)} files of {size >> 20} MiB are too many; a box takes "
            f"{MAX_FILES} files of {MAX_BYTES >> 20} MiB"
        )
    return files


def to_tar(files: Files) -> bytes:
    """An archive of the files; equal files give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, file in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.mode = 0o755 if file.is_executable else 0o644
            if file.target is not None:
                info.type, info.linkname = tarfile.SYMTYPE, file.target
            info.size = len(file.data)
            archive.addfile(info, io.BytesIO(file.data))
    return buffer.getvalue()


def matching(paths: Iterable[str], globs: Iterable[str]) -> list[str]:
    """The paths that match a pattern; ``*`` stays in one folder, ``**`` does not.

    >>> matching(["t/a.py", "t/u/b.py", "c.py"], ["t/**"])
    ['t/a.py', 't/u/b.py']
    """
    patterns = [_regex(glob) for glob in globs]
    return [path for path in paths if any(each.fullmatch(path) for each in patterns)]


@cache
def _regex(glob: str) -> re.Pattern[str]:
    """A pattern of paths; one that names a folder stands for all in it."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.strip("/"))
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(each, re.escape(each)) for each in parts) + "(?:/.*)?")


def _file(path: Path) -> File | None:
    """What stands at a path; None for what is neither a file nor a link."""
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return File(target=os.readlink(path))
        if stat.S_ISREG(mode):
            return File(path.read_bytes(), bool(mode & 0o111))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return None


def _inside(path: Path, name: str) -> str:
    """The name without a leading ``./``. Raises ``DataError`` for one that leads out."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or not parts:
        raise DataError(f"{path}: the name {name!r} leads out of the archive")
    return "/".join(parts)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    if member.issym():
        return File(target=member.linkname)
    held = archive.extractfile(member)
    assert held is not None
    return File(held.read(), bool(member.mode & 0o111))


def _without_top(files: dict[str, File]) -> dict[str, File]:
    tops = {path.partition("/")[0] for path in files}
    if len(tops) != 1 or any("/" not in path for path in files):
        return files
    return {path.partition("/")[2]: file for path, file in files.items()}
