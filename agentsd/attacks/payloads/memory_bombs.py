"""Bombs of memory, in every form that a limit may forget. Runs inside the box.

Each is bounded by a count, by bytes and by seconds, a few times the limit it is aimed at.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import time
from collections.abc import Callable

from agentsd.attacks.inside import Bait, Report, compare, error_name, in_child
from agentsd.attacks.kernel_calls import NUMBERS, raw

MIB = 2**20
PAGE = mmap.PAGESIZE
HOLD_S = 20
IPC_CREAT, IPC_RMID = 0o1000, 0


def _fill(goal: int) -> None:
    """Touch ``goal`` bytes, and keep them until somebody ends this process."""
    kept = []
    for _ in range(goal // MIB):
        block = mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, MIB, PAGE):
            block[offset] = 1
        kept.append(block)
    signal.pause()


def _fill_in_children(
    number: int, goal: int, first: Callable[[], None] = lambda: None
) -> tuple[int, str]:
    """The most MiB that the children really held at once, and how they ended."""
    own = _resident(os.getpid())
    children = set()
    for _ in range(number):
        child = os.fork()
        if not child:
            signal.alarm(HOLD_S)
            with contextlib.suppress(MemoryError, OSError):
                first()
                _fill(goal)
            os._exit(9)
        children.add(child)
    most, why = _watch(children, own)
    return most // MIB, why


def _resident(pid: int) -> int:
    """Bytes of a process that are really there: none when it has been killed."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * PAGE
    except OSError:
        return 0


def _watch(children: set[int], own: int) -> tuple[int, str]:
    """Watch until all are dead or nobody has grown for two seconds, then end the rest.

    ``own`` is what each shares with its parent.
    """
    most, quiet, last, ends = 0, 0, -1, set()
    while children and quiet < 100:
        for child in list(children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                children.remove(child)
                ends.add("killed" if os.WIFSIGNALED(status) else "ENOMEM")
        held = sum(max(_resident(child) - own, 0) for child in children)
        most, quiet, last = max(most, held), quiet + 1 if held == last else 0, held
        time.sleep(0.02)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return most, " and ".join(sorted(ends)) or "nothing"


def memory_bomb(bait: Bait) -> Report:
    """Take four times the memory of the box in one process"""
    held, why = _fill_in_children(1, 4 * bait.memory_bytes)
    return compare(held, bait.memory_bytes / MIB, "MiB", why)


def memory_bomb_of_many(bait: Bait) -> Report:
    """Take twice the memory of the box, a quarter of it in each of eight processes"""
    held, why = _fill_in_children(8, bait.memory_bytes // 4)
    return compare(held, bait.memory_bytes / MIB, "MiB", why)


def protected_memory_bomb(bait: Bait) -> Report:
    """Take all memory after lowering the own OOM score, so that the box's server dies instead"""

    def protect() -> None:
        for score in (-1000, -500, 0, 500):
            with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
                file.write(str(score))
                return

    held, why = _fill_in_children(2, 2 * bait.memory_bytes, first=protect)
    return compare(held, bait.memory_bytes / MIB, "MiB", why)


def memory_file_bomb(bait: Bait) -> Report:
    """Take twice the memory of the box in anonymous files, which no process limit counts"""

    def act() -> Report:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        total, why, block = 0, "nothing", b"x" * MIB
        while total < 2 * bait.memory_bytes:
            descriptor = os.memfd_create("bomb")
            try:
                for _ in range(16):
                    total += os.write(descriptor, block)
            except OSError as error:
                why = error_name(error)
                break
        return compare(total / MIB, bait.memory_bytes / MIB, "MiB", why)

    return in_child(act, HOLD_S)


def shared_memory_bomb(bait: Bait) -> Report:
    """Take twice the memory of the box in System V segments, which no process limit counts"""

    def act() -> Report:
        total, why = 0, "nothing"
        size = 16 * MIB
        while total < 2 * bait.memory_bytes:
            try:
                segment = raw(NUMBERS["shmget"], 0, size, IPC_CREAT | 0o600)
                address = raw(NUMBERS["shmat"], segment, None, 0)
                # Gone with this process, should the host be what is being filled.
                raw(NUMBERS["shmctl"], segment, IPC_RMID, None)
            except OSError as error:
                why = error_name(error)
                break
            ctypes.memset(address, 1, size)
            total += size
        return compare(total / MIB, bait.memory_bytes / MIB, "MiB", why)

    return in_child(act, HOLD_S)
