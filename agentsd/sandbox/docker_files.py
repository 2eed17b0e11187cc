"""Files that go into and out of a box: tar archives, and what a failing tool says as ``OSError``.

Knows nothing of daemons.
"""

from __future__ import annotations

import errno
import io
import os
import tarfile

from agentsd.errors import DataError

UID = GID = 1000
OTHER_WORDS = {
    "File exists": errno.ENOTDIR,  # mkdir -p, when a file is where a folder should be
    "No such file": errno.ENOENT,
    "nonexistent directory": errno.ENOENT,
    "Directory nonexistent": errno.ENOENT,
    "Symbolic link loop": errno.ELOOP,
    "Filename too long": errno.ENAMETOOLONG,
    "No space left": errno.ENOSPC,
}
"""What musl, dash and busybox say where glibc says something else."""


def os_error(stderr: bytes, path: str) -> OSError:
    """The error that the last line of a tool's standard error names: FileNotFoundError, ..."""
    lines = stderr.decode(errors="replace").strip().splitlines() or ["Input/output error"]
    words = lines[-1].rsplit(": ", 1)[-1]
    number = OTHER_WORDS.get(words) or _numbers().get(words)
    return OSError(number or errno.EIO, os.strerror(number) if number else lines[-1], path)


def _numbers() -> dict[str, int]:
    return {os.strerror(number): number for number in errno.errorcode}


def check_path(path: str) -> None:
    """Refuse what no file system takes. Raises ``OSError``."""
    if not path:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    try:
        is_bad = "\0" in path or len(path.encode()) > 4096
    except UnicodeEncodeError:
        is_bad = True
    if is_bad:
        raise OSError(errno.EINVAL, "the path is not UTF-8, too long, or holds a NUL", path)


def owned_by_the_box(archive: bytes) -> bytes:
    """The same tree, owned by the box's user and without devices, whoever made the archive.

    The daemon unpacks it as root. Raises ``DataError`` for a damaged archive.
    """
    out = io.BytesIO()
    try:
        with (
            tarfile.open(fileobj=io.BytesIO(archive)) as source,
            tarfile.open(fileobj=out, mode="w") as target,
        ):
            for member in source:
                if member.isdev() and not member.isfifo():
                    continue
                _check_place(member)
                member.uid, member.gid, member.uname, member.gname = UID, GID, "", ""
                target.addfile(member, source.extractfile(member) if member.isreg() else None)
    except tarfile.TarError as error:
        raise DataError(f"snapshot is not a tar archive: {error}") from error
    return out.getvalue()


def _check_place(member: tarfile.TarInfo) -> None:
    """Refuse members outside the tree. Where a symbolic link points is the box's own affair."""
    names = [member.name] + ([member.linkname] if member.islnk() else [])
    if any(name.startswith("/") or ".." in name.split("/") for name in names):
        raise DataError(f"snapshot member {member.name!r} is outside the working directory")
