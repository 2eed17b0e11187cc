"""Traps for the host's own reads and writes of files in the box. Runs inside the box.

The payload sets the trap, then the host reads, writes or takes a snapshot as a tool would.
"""

from __future__ import annotations

import os
import time

from agentsd.attacks.inside import Bait, Report, attempt, ready, stopped

HUGE = 8 * 2**30
DEEP = 800


def link_to_read(bait: Bait) -> Report:
    """Have the host read a symbolic link to a host file"""
    os.symlink(bait.marker, "trap")
    return ready()


def link_to_write(bait: Bait) -> Report:
    """Have the host write through a symbolic link to a host file"""
    os.symlink(bait.marker, "trap")
    return ready()


def linked_folder(bait: Bait) -> Report:
    """Have the host read and write under a symbolic link to a host folder"""
    os.symlink(os.path.dirname(bait.marker), "trap")
    return ready()


def dotted_path(bait: Bait) -> Report:
    """Have the host read and write ../../../.. and a host file's path"""
    return ready()


def absolute_path(bait: Bait) -> Report:
    """Have the host read and write the absolute path of a host file"""
    return ready()


def path_with_nul(bait: Bait) -> Report:
    """Have the host read and write a path with a NUL byte after a host file's"""
    return ready()


def swapped_folder(bait: Bait) -> Report:
    """Swap a folder and a symbolic link to a host folder while the host reads in it"""
    os.mkdir("plain")
    name = os.path.basename(bait.marker)
    with open(os.path.join("plain", name), "w", encoding="ascii") as file:
        file.write("harmless")
    os.symlink(os.path.dirname(bait.marker), "link")
    stop = time.monotonic() + 2
    while time.monotonic() < stop:
        os.rename("plain", "trap")
        os.rename("trap", "plain")
        os.rename("link", "trap")
        os.rename("trap", "link")
    return ready()


def environment_of_reader(bait: Bait) -> Report:
    """Have the host read the environment of whoever reads for it"""
    return ready()


def descriptors_of_reader(bait: Bait) -> Report:
    """Have the host read and write the pipes of whoever reads for it, under /proc/self/fd"""
    return ready()


def device_nodes(bait: Bait) -> Report:
    """Have the host read and write /dev/zero, /dev/full, /dev/tty and /dev/stdin"""
    return ready()


def pipe_to_read(bait: Bait) -> Report:
    """Have the host read and write a pipe without another end, to hang it"""
    os.mkfifo("trap")
    return ready()


def endless_file(bait: Bait) -> Report:
    """Have the host read /dev/zero, to exhaust its memory"""
    os.symlink("/dev/zero", "trap")
    return ready()


def _make_huge() -> Report:
    def act() -> None:
        with open("trap", "wb") as file:
            file.truncate(HUGE)

    report = attempt(act)
    return ready() if report.ending == "succeeded" else stopped(report.detail)


def huge_file(bait: Bait) -> Report:
    """Have the host read a file with a hole of 8 GiB"""
    return _make_huge()


def huge_snapshot(bait: Bait) -> Report:
    """Have the host take a snapshot with a hole of 8 GiB in it"""
    return _make_huge()


def deep_folders(bait: Bait) -> Report:
    """Have the host take a snapshot of 800 nested folders"""
    for _ in range(DEEP):
        os.mkdir("d")
        os.chdir("d")
    return ready()


def full_disk(bait: Bait) -> Report:
    """Have the host write a file after the working directory and /tmp are full"""
    for folder in (".", "/tmp"):
        attempt(lambda folder=folder: _fill(folder))
    return ready()


def _fill(folder: str) -> None:
    with open(os.path.join(folder, "fill"), "wb") as file:
        while True:
            file.write(b"x" * 2**20)
