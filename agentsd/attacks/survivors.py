"""Which processes are left. Looks at the host's ``/proc``; knows nothing of boxes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGESIZE")
PROC = Path("/proc")
NUM_LOOKS = 3


def tagged(tag: str) -> set[int]:
    """Processes with ``tag`` in their command line, as far as this host can see them.

    One that has ended has no command line, even while it is a zombie.
    """
    found = set()
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            # Gone in between, or another user's where /proc hides them.
            with contextlib.suppress(OSError):
                if tag.encode() in (folder / "cmdline").read_bytes():
                    found.add(int(folder.name))
    return found


def descendants(pid: int) -> set[int]:
    """All processes that ``pid`` started and that are not orphaned."""
    children: dict[int, set[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(_parent(folder), set()).add(int(folder.name))
    found, todo = set[int](), [pid]
    while todo:
        new = children.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def user_of(pid: int) -> int:
    """The host's user of a process; -1 when it has ended."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return -1
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), -1)


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie has ended."""
    return {pid for pid in pids if _state(pid) not in ("", "Z", "X")}


def end(pids: set[int]) -> None:
    """Kill processes that an attack has left behind."""
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def resident_bytes() -> int:
    """Memory of this process that is really there."""
    return int((PROC / "self/statm").read_text().split()[1]) * PAGE_BYTES


async def left_after(tag: str, timeout_s: float) -> set[int]:
    """Processes with ``tag`` that have not ended within the time."""
    stop = time.monotonic() + timeout_s
    quiet = 0
    while quiet < NUM_LOOKS:
        left = tagged(tag)
        # One look may miss a process that keeps forking and exiting.
        quiet = 0 if left else quiet + 1
        if left and time.monotonic() > stop:
            return left
        await asyncio.sleep(0.02)
    return set()


def _state(pid: int) -> str:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""


def _parent(folder: Path) -> int:
    return int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
