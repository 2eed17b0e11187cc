"""What a box looks like: its mounts, limits and environment, as a plan for the launcher.

Checks what a caller asked for and turns it into bwrap's options; runs nothing. Knows nothing of
cgroups, of users or of what is said over a box's socket.
"""

from __future__ import annotations

import marshal
import os
import platform
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentsd.boxes import MIB, BoxLimits, BoxSpec
from agentsd.errors import ConfigError
from agentsd.sandbox.bwrap_probe import INSTALL, CannotIsolate
from agentsd.sandbox.interpreter import Interpreter
from agentsd.sandbox.seccomp import filter_program

STAGES = ("/mnt", "/media", "/srv", "/opt", "/run", "/var", "/tmp")
"""Folders of the host that the launcher may cover, in its own namespace, to prepare mounts."""
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
OWNED = ("/work", "/tmp", "/dev", "/proc", "/run/box")
"""What a mount may not cover: the box needs it."""
COVERED = ("/proc/cmdline", "/proc/keys")
"""Files that tell of the host and that any user may read there."""
SHM_BYTES = 64 * MIB
SHM_FILES = 10_001
OPEN_FILES = 1024
SERVING = 2
"""Processes that serve a box: bwrap outside and the server inside."""
SERVING_BYTES = 32 * MIB
INODE_BYTES = 2048
"""Of kernel memory, for a file without content; measured as about 1.2 KiB."""
SERVER = "/run/box"

ETC = {
    "passwd": b"root:x:0:0::/root:/bin/sh\nagent:x:1000:1000::/work:/bin/sh\n",
    "group": b"root:x:0:\nagent:x:1000:\n",
    "hosts": b"127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
}
HOST_ETC = ("alternatives", "ld.so.cache")
"""Where programs and libraries are found; nothing of the host's own."""

NAMESPACES = (
    *("--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"),
    *("--new-session", "--clearenv", "--cap-drop", "ALL"),
    *("--hostname", "box", "--uid", "1000", "--gid", "1000"),
)


Plan = dict[str, Any]
"""What the launcher does, in types that ``marshal`` writes; its keys are used there and nowhere
else."""


@dataclass(frozen=True, slots=True)
class Program:
    """What runs in the box, and what only this kind of program needs."""

    command: Sequence[str]
    options: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """By path below ``/run/box``; read-only."""
    binds: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path in the box to a host path, read-only, besides those of the spec."""
    writable: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path in the box to a host folder that it may change."""


def find_bwrap() -> str:
    """The path of bwrap. Raises ``CannotIsolate`` when it is not installed."""
    path = shutil.which("bwrap")
    if path is None:
        raise CannotIsolate("bwrap is not installed", INSTALL)
    return os.path.realpath(path)


def server_program(python: Interpreter) -> Program:
    """The box's own server, which runs as its process 1."""
    options = ["--as-pid-1", "--setenv", "LANG", "C.UTF-8"]
    return Program(python.command("server", SERVER), options, python.files(), python.mounts)


def confined_program(
    python: Interpreter, argv: Sequence[str], spec: BoxSpec, writable: Mapping[str, str]
) -> Program:
    """A program with its stdin and stdout on the host."""
    options = [word for pair in environment(spec).items() for word in ("--setenv", *pair)]
    limits = marshal.dumps(resource_limits(spec.limits), 2).hex()
    command = [*python.command("confined", SERVER), limits, *argv]
    return Program(command, options, python.files(), python.mounts, writable)


def environment(spec: BoxSpec) -> dict[str, str]:
    """Every variable that a command in the box has."""
    path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    return {"PATH": path, "HOME": "/work", "LANG": "C.UTF-8", **spec.env}


def resource_limits(limits: BoxLimits) -> dict[str, int]:
    """Limits of each process, by the names of ``resource``."""
    return {
        # Not RLIMIT_AS: programs such as node reserve far more addresses than they use.
        "RLIMIT_DATA": limits.memory_bytes,
        # Counted with the server of the box.
        "RLIMIT_NPROC": limits.num_processes + 1,
        "RLIMIT_FSIZE": limits.workdir_bytes,
        "RLIMIT_NOFILE": OPEN_FILES,
        "RLIMIT_CORE": 0,
    }


def whole_limits(limits: BoxLimits) -> BoxLimits:
    """Limits for all processes of a box and of its server together.

    Files count as memory and nobody else can free them, so a box has at least the memory that its
    folders may hold: a box that is full does not die of it.
    """
    folders = sum(size + files * INODE_BYTES for _, _, size, files in _folders(limits))
    return replace(
        limits,
        memory_bytes=max(limits.memory_bytes, folders) + SERVING_BYTES,
        num_processes=limits.num_processes + SERVING,
    )


def plan(spec: BoxSpec, program: Program, *, join: Sequence[str], uid: int | None) -> Plan:
    """How to start ``program`` in a fresh box. Raises ``ConfigError`` for what cannot be."""
    check_spec(spec)
    for box, host in program.writable.items():
        check_mount(box, host)
        check_writable(host, is_other_user=uid is not None)
    mounts = {**program.binds, **spec.mounts, **program.writable}
    bwrap = find_bwrap()
    stage = _stage([bwrap, *mounts.values()])
    names = {box: f"mount{number}" for number, box in enumerate(mounts)}
    options = [*NAMESPACES, *_system(stage), *_devices(stage)]
    for box, name in names.items():
        options += ["--bind" if box in program.writable else "--ro-bind", f"{stage}/{name}", box]
    options += ["--remount-ro", "/", "--chdir", "/work", *program.options]
    files = {f"etc/{name}": content for name, content in ETC.items()}
    files |= {f"box/{name}": content for name, content in program.files.items()}
    return {
        "parent": os.getpid(),
        "join": list(join),
        "uid": uid,
        "stage": stage,
        "tmpfs": _folders(spec.limits),
        "files": list(files.items()),
        "binds": [(mounts[box], name) for box, name in names.items()],
        "seccomp": filter_program(platform.machine()),
        "bwrap": bwrap,
        "options": [os.fsencode(option) for option in options],
        "command": list(program.command),
    }


def check_spec(spec: BoxSpec) -> None:
    """Raises ``ConfigError`` for what a bwrap box cannot have."""
    if spec.image is not None:
        raise ConfigError(f"bwrap has no images, got {spec.image!r}; use the docker sandbox")
    for box, host in spec.mounts.items():
        check_mount(box, host)
    for name, value in spec.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise ConfigError(f"environment variable {name!r} of a box cannot be set")


def check_mount(box: str, host: str) -> None:
    """Raises ``ConfigError`` for a mount that hides what the box needs, or that is not there."""
    is_plain = os.path.normpath(box) == box and box != "/" and "\0" not in box
    if not box.startswith("/") or not is_plain:
        raise ConfigError(f"mount {box!r}: the path in the box must be absolute and plain")
    if any(_is_within(box, owned) or _is_within(owned, box) for owned in OWNED):
        raise ConfigError(f"mount {box!r}: the box needs that path itself; use another")
    if not os.path.isabs(host) or not os.path.exists(host):
        raise ConfigError(f"mount {box!r}: no such path on this machine: {host!r}")


def check_writable(host: str, *, is_other_user: bool) -> None:
    """Raises ``ConfigError`` for a folder that the box's user could not change."""
    info = os.stat(host)
    if not stat.S_ISDIR(info.st_mode):
        raise ConfigError(f"writable mount {host!r}: only folders can be mounted so")
    if is_other_user and info.st_mode & 0o007 != 0o007:
        raise ConfigError(
            f"writable mount {host!r}: boxes of root run as a throw-away user; `chmod o+rwx` it"
        )


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def _stage(sources: Sequence[str]) -> str:
    """A folder of the host in whose place mounts can be prepared without hiding a source."""
    real = [os.path.realpath(source) for source in sources]
    for stage in STAGES:
        is_plain = os.path.isdir(stage) and not os.path.islink(stage)
        if is_plain and not any(_is_within(source, stage) for source in [*real, *sources]):
            return stage
    raise ConfigError(f"no place to prepare mounts: every one of {', '.join(STAGES)} is a source")


def _folders(limits: BoxLimits) -> list[tuple[str, str, int, int]]:
    """The box's own file systems: name, mode, bytes, number of files."""
    size, files = limits.workdir_bytes, limits.num_files + 1
    return [
        ("work", "700", size, files),
        ("tmp", "1777", size, files),
        ("shm", "1777", min(size, SHM_BYTES), min(files, SHM_FILES)),
    ]


def _system(stage: str) -> list[str]:
    """The host's programs and libraries, read-only, and the few files of ``/etc`` they need."""
    options = ["--ro-bind", "/usr", "/usr", "--perms", "755", "--dir", "/etc"]
    for name in SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    for name in HOST_ETC:
        if Path("/etc", name).exists():
            options += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    for name in ETC:
        options += ["--ro-bind", f"{stage}/etc/{name}", f"/etc/{name}"]
    return options


def _devices(stage: str) -> list[str]:
    """What the box has of its own: devices, processes, and folders to write in."""
    options = ["--proc", "/proc", "--dev", "/dev", "--bind", f"{stage}/shm", "/dev/shm"]
    options += ["--remount-ro", "/dev", "--bind", f"{stage}/tmp", "/tmp"]
    options += ["--bind", f"{stage}/work", "/work", "--perms", "755", "--dir", "/run"]
    options += ["--ro-bind", f"{stage}/box", SERVER]
    for path in COVERED:
        if os.path.exists(path):
            options += ["--ro-bind", "/dev/null", path]
    return options
