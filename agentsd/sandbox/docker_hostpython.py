"""A container image of the host's own Python and busybox, made without any registry.

Holds the standard library and the shared libraries that it needs; no pip, no compiler. Knows no
daemon: it writes a tar archive of a root file system.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentsd.errors import ConfigError

FORMAT = 2
"""Part of the fingerprint: to be raised when the archive is built differently."""
TESTS_AND_TOOLS = ("test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3")
LEFT_OUT = frozenset([*TESTS_AND_TOOLS, "site-packages", "dist-packages"])
FOLDERS = ("bin", "dev", "etc", "proc", "root", "sys", "usr", "usr/local", "usr/local/bin", "work")
PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\n"
    "agent:x:1000:1000:agent:/work:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/:/bin/sh\n"
)
GROUP = "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"
LDD_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class HostPython:
    """What goes into the image: path in the image to file of the host."""

    files: dict[str, Path]
    applets: tuple[str, ...]
    """The commands that busybox stands in for."""

    @property
    def fingerprint(self) -> str:
        """Changes when a file does."""
        digest = hashlib.sha256(repr((FORMAT, sys.version, self.applets)).encode())
        for name, path in sorted(self.files.items()):
            stat = path.stat()
            digest.update(f"{name}\0{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def find_host_python() -> HostPython:
    """Look for everything the image needs. Raises ``ConfigError`` without busybox or ``ldd``."""
    busybox, ldd = shutil.which("busybox"), shutil.which("ldd")
    if busybox is None or ldd is None:
        missing = "busybox" if busybox is None else "ldd"
        raise ConfigError(
            f"an image of this Python needs {missing}, which is not installed here; run "
            "apt-get install busybox-static libc-bin, or name an image"
        )
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    program = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    files = {f"usr/local/bin/{version}": program, "bin/busybox": Path(busybox).resolve()}
    for path in _library_files(library):
        files[f"usr/local/lib/{version}/{path.relative_to(library)}"] = path
    loaded = [path for path in files.values() if path.suffix == ".so"]
    for path in _shared_libraries(ldd, [program, Path(busybox), *loaded]):
        files[str(path).lstrip("/")] = path.resolve()
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    return HostPython(files, tuple(sorted(set(listed.stdout.split()) - {"busybox"})))


def _library_files(library: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(library):
        folders[:] = [f for f in folders if f not in LEFT_OUT and not f.startswith("config-")]
        for name in sorted(names):
            path = Path(folder, name)
            is_optimised = ".opt-" in name
            if (
                path.suffix != ".a"
                and "tkinter" not in name
                and not is_optimised
                and path.is_file()
            ):
                yield path


def _shared_libraries(ldd: str, programs: list[Path]) -> set[Path]:
    """Every library that the loader would map for the programs, under the path it would open."""
    done = subprocess.run(
        [ldd, *map(str, programs)],
        capture_output=True,
        text=True,
        timeout=LDD_TIMEOUT_S,
        check=False,  # it fails when one of them is static
    )
    return {Path(path) for path in re.findall(r"(/\S+) \(0x", done.stdout)}


def write_root(host: HostPython, path: Path) -> None:
    """Write the root file system as a tar archive. The same files give the same bytes."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    with tarfile.open(path, "w") as archive:
        for name in FOLDERS:
            _add(archive, name, tarfile.DIRTYPE, mode=0o755)
        _add(archive, "tmp", tarfile.DIRTYPE, mode=0o1777)
        for name, source in sorted(host.files.items()):
            _add_file(archive, name, source)
        for applet in host.applets:
            _add(archive, f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        for alias in ("python", "python3"):
            _add(archive, f"usr/local/bin/{alias}", tarfile.SYMTYPE, link=version)
        _add(archive, "etc/passwd", tarfile.REGTYPE, mode=0o644, data=PASSWD.encode())
        _add(archive, "etc/group", tarfile.REGTYPE, mode=0o644, data=GROUP.encode())


def _add_file(archive: tarfile.TarFile, name: str, source: Path) -> None:
    stat = source.stat()
    member = tarfile.TarInfo(name)
    # Compiled modules are valid only beside a source of the time that they were compiled from.
    member.mtime, member.size = int(stat.st_mtime), stat.st_size
    member.mode = stat.st_mode & 0o755 | 0o444
    with source.open("rb") as data:
        archive.addfile(member, data)


def _add(
    archive: tarfile.TarFile,
    name: str,
    kind: bytes,
    *,
    mode: int = 0o777,
    data: bytes = b"",
    link: str = "",
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.linkname = kind, mode, len(data), link
    archive.addfile(member, io.BytesIO(data))
