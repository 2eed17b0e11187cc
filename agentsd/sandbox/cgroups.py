"""Limits for all processes of a box together, by control groups of version 1 or 2.

Each box gets a group of its own below the groups this process is in, so that limits set from
outside go on to hold. Groups are named after the run, so that those of a crashed run can be found.
Where nothing may be created there are no such limits; ``Hierarchy.controllers`` says which work.
Knows nothing of bwrap.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from agentsd.boxes import BoxLimits
from agentsd.errors import InfraError

CONTROLLERS = ("memory", "pids", "cpu")
PERIOD_US = 100_000
REMOVE_S = 1.0


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy and the group of it that this process is in."""

    version: int
    controllers: frozenset[str]
    top: Path
    own: Path


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups can be created: (version, parent folder, its controllers)."""

    parents: Sequence[tuple[int, Path, frozenset[str]]]

    @property
    def controllers(self) -> frozenset[str]:
        """What of memory, pids and cpu can be limited for a box as a whole."""
        return frozenset[str]().union(*(names for _, _, names in self.parents))


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The groups of one box."""

    folders: tuple[Path, ...]

    @property
    def join(self) -> list[str]:
        """Files into which a process writes 0 to join."""
        return [str(folder / "cgroup.procs") for folder in self.folders]


def find(proc: Path = Path("/proc/self")) -> Hierarchy:
    """Where this process may create groups. Asks the file system; creates nothing that stays."""
    found = []
    for mount in mounts(proc):
        parent = _parent_v1(mount) if mount.version == 1 else _parent_v2(mount)
        if parent is not None:
            found.append((mount.version, *parent))
    return Hierarchy(found)


def mounts(proc: Path = Path("/proc/self")) -> list[Mount]:
    """The hierarchies that are mounted, from ``mountinfo`` and ``cgroup`` in ``proc``."""
    groups = {}
    for line in (proc / "cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        groups[frozenset(names.split(",")) if names else frozenset[str]()] = path
    found = []
    for line in (proc / "mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, top = (_unescaped(text) for text in before.split()[3:5])
        kind, _, options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        names = frozenset[str]() if kind == "cgroup2" else _named(options, groups)
        path = groups.get(names, "/")
        own = Path(top, os.path.relpath(path, root)) if _is_within(path, root) else Path(top)
        version = 2 if kind == "cgroup2" else 1
        found.append(Mount(version, names, Path(top), own if own.is_dir() else Path(top)))
    return found


def _named(options: str, groups: Mapping[frozenset[str], str]) -> frozenset[str]:
    """The set of controllers of a version 1 mount, which are among its options."""
    words = frozenset(options.split(","))
    return next((names for names in groups if names and names <= words), frozenset({"none"}))


def _is_within(path: str, root: str) -> bool:
    return root == "/" or path == root or path.startswith(root + "/")


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _parent_v1(mount: Mount) -> tuple[Path, frozenset[str]] | None:
    names = mount.controllers & set(CONTROLLERS)
    return (mount.own, names) if names and os.access(mount.own, os.W_OK | os.X_OK) else None


def _parent_v2(mount: Mount) -> tuple[Path, frozenset[str]] | None:
    """The nearest group whose children can be limited.

    A group that holds processes cannot pass controllers on, so this is often an ancestor.
    """
    folder = mount.own
    while True:
        names = _offered(folder)
        if {"memory", "pids"} <= names and os.access(folder / "cgroup.procs", os.W_OK):
            return folder, names
        if folder == mount.top:
            return None
        folder = folder.parent


def _offered(folder: Path) -> frozenset[str]:
    """The controllers that children of a version 2 group get, after asking for all of them."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return frozenset()
    try:
        has = set((folder / "cgroup.controllers").read_text().split()) & set(CONTROLLERS)
        control = folder / "cgroup.subtree_control"
        for name in sorted(has - set(control.read_text().split())):
            _try_write(control, f"+{name}")
        return frozenset(set(control.read_text().split()) & set(CONTROLLERS))
    except OSError:
        return frozenset()  # not a group one can use, like one of another user


def _try_write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EPERM, errno.EACCES, errno.ENOENT):
            raise


def folder_name(run: str) -> str:
    """The name of a run's groups; labels that are no plain file names are hashed."""
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", run):
        return f"agentsd-{run}"
    return f"agentsd-#{hashlib.sha256(run.encode()).hexdigest()[:16]}"


def create(hierarchy: Hierarchy, run: str, limits: BoxLimits) -> Cgroup:
    """The groups of a new box, with its limits set. Raises ``InfraError``."""
    box = f"{os.getpid()}-{secrets.token_hex(8)}"
    made: list[Path] = []
    try:
        for version, parent, names in hierarchy.parents:
            folder = _make(parent / folder_name(run), box, version, names)
            made.append(folder)
            _set_limits(folder, version, names, limits)
    except OSError as error:
        for folder in made:
            folder.rmdir()
        raise InfraError(f"no control group for a box: {error}") from error
    return Cgroup(tuple(made))


def _make(run: Path, box: str, version: int, names: frozenset[str]) -> Path:
    while True:
        run.mkdir(exist_ok=True)
        if version == 2 and names:
            (run / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in names))
        try:
            (run / box).mkdir()
        except FileNotFoundError:
            continue  # the last box of the run was closed in between
        return run / box


def _set_limits(folder: Path, version: int, names: frozenset[str], limits: BoxLimits) -> None:
    """Swap is counted only by kernels that were told to, so its files may be missing."""
    settings = _settings_v1(limits) if version == 1 else _settings_v2(limits)
    for name, value in settings.items():
        if name.split(".")[0] in names and (folder / name).exists():
            (folder / name).write_text(str(value))


def _settings_v1(limits: BoxLimits) -> dict[str, int]:
    return {
        "memory.limit_in_bytes": limits.memory_bytes,
        "memory.memsw.limit_in_bytes": limits.memory_bytes,
        "pids.max": limits.num_processes,
        "cpu.cfs_period_us": PERIOD_US,
        "cpu.cfs_quota_us": max(1000, round(limits.cpus * PERIOD_US)),
    }


def _settings_v2(limits: BoxLimits) -> dict[str, int | str]:
    return {
        "memory.max": limits.memory_bytes,
        "memory.swap.max": 0,
        "pids.max": limits.num_processes,
        "cpu.max": f"{max(1000, round(limits.cpus * PERIOD_US))} {PERIOD_US}",
    }


@asynccontextmanager
async def opened(hierarchy: Hierarchy, run: str, limits: BoxLimits) -> AsyncIterator[list[str]]:
    """Files through which a process joins the groups of a new box; removed when the context ends.

    Raises ``InfraError``, at the end too when a process of the box does not go away.
    """
    group = create(hierarchy, run, limits)
    try:
        yield group.join
    finally:
        with anyio.CancelScope(shield=True):
            await remove(group)


async def remove(cgroup: Cgroup) -> None:
    """Remove a box's groups; waits a little for its last processes. Raises ``InfraError``."""
    give_up = time.monotonic() + REMOVE_S
    for folder in cgroup.folders:
        while not _is_removed(folder):
            if time.monotonic() > give_up:
                raise InfraError(f"control group {folder} is still in use")
            await anyio.sleep(0.005)
        _is_removed(folder.parent)  # the run's own folder goes with its last box


def remove_left_over(run: str, proc: Path = Path("/proc/self")) -> int:
    """Remove the groups of boxes that a crash of ``run`` left; returns how many boxes.

    Groups in which something still runs are left alone.
    """
    boxes = set[str]()
    for mount in mounts(proc):
        for folder in list(_folders_named(mount.top, folder_name(run))):
            boxes |= {
                child.name for child in folder.iterdir() if child.is_dir() and _is_removed(child)
            }
            _is_removed(folder)
    return len(boxes)


def _folders_named(top: Path, name: str) -> Iterator[Path]:
    for path, folders, _ in os.walk(top):
        if name in folders:
            folders.remove(name)
            yield Path(path, name)


def _is_removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        return False
    return True
