"""Bombs of bytes, files and descriptors. Runs inside the box.

Each is bounded by a count, by bytes and by seconds, a few times the limit it is aimed at.
"""

from __future__ import annotations

import os
import resource
import signal

from agentsd.attacks.inside import Bait, Report, compare, error_name

MIB = 2**20
MAX_DESCRIPTORS = 65_536
MAX_SHM_BYTES = 64 * MIB


def _fill_folder(folder: str, goal: int) -> tuple[int, str]:
    """Bytes written into ``folder`` in files of a few MiB, and what ended it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    block, total, number = b"x" * (MIB // 4), 0, 0
    while total < goal:
        number += 1
        try:
            with open(f"{folder}/fill{number}", "wb", buffering=0) as file:
                for _ in range(16):
                    total += file.write(block)
        except OSError as error:
            return total, error_name(error)
    return total, "nothing"


def disk_bomb(bait: Bait) -> Report:
    """Write four times the size of the working directory into it"""
    total, why = _fill_folder(".", 4 * bait.workdir_bytes)
    return compare(total / MIB, bait.workdir_bytes / MIB, "MiB", why)


def tmp_bomb(bait: Bait) -> Report:
    """Write four times its size into /tmp"""
    total, why = _fill_folder("/tmp", 4 * bait.workdir_bytes)
    return compare(total / MIB, bait.workdir_bytes / MIB, "MiB", why)


def shm_bomb(bait: Bait) -> Report:
    """Write half the memory of the box into /dev/shm"""
    total, why = _fill_folder("/dev/shm", bait.memory_bytes // 2)
    return compare(total / MIB, max(bait.workdir_bytes, MAX_SHM_BYTES) / MIB, "MiB", why)


def inode_bomb(bait: Bait) -> Report:
    """Create four times as many files as the working directory may have"""
    count, why = 0, "nothing"
    try:
        for number in range(4 * bait.num_files):
            if number % 1000 == 0:
                os.mkdir(f"d{number}")
            os.close(os.open(f"d{number // 1000 * 1000}/{number}", os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError as error:
        why = error_name(error)
    return compare(count, bait.num_files, "files", why)


def descriptor_bomb(bait: Bait) -> Report:
    """Open more than 65,536 files at once"""
    count, why = 0, "nothing"
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        for _ in range(2 * MAX_DESCRIPTORS):
            os.open("/dev/null", os.O_RDONLY)
            count += 1
    except OSError as error:
        why = error_name(error)
    os.closerange(3, count + 10)
    return compare(count, MAX_DESCRIPTORS, "files", why)
