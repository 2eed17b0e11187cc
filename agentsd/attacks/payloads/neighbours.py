"""Two boxes side by side: one offers, the other looks. Runs inside the boxes."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from agentsd.attacks.inside import (
    Bait,
    Report,
    attempt,
    attempt_each,
    peek,
    processes,
    ready,
    spill,
    stopped,
)
from agentsd.attacks.kernel_calls import NUMBERS, raw

IPC_CREAT, IPC_RMID, SIZE = 0o1000, 0, 4096
FOLDERS = (".", "/tmp", "/dev/shm", "/var/tmp")
OFFER_S = 5


def offer(bait: Bait) -> Report:
    """Leave files, sockets and shared memory for a neighbour to find"""
    paths = [f"{folder}/agentsd-{bait.key}" for folder in FOLDERS]
    segment = raw(NUMBERS["shmget"], bait.key, SIZE, IPC_CREAT | 0o666)
    try:
        for path in paths:
            attempt(lambda path=path: _leave(path))
        with socket.socket(socket.AF_UNIX) as abstract, socket.socket() as tcp:
            abstract.bind(f"\0agentsd-{bait.key}")
            abstract.listen()
            tcp.bind(("127.0.0.1", _port(bait)))
            tcp.listen()
            time.sleep(OFFER_S)
    finally:
        raw(NUMBERS["shmctl"], segment, IPC_RMID, None)
        for path in paths:
            attempt(lambda path=path: os.unlink(path))
    return ready()


def _leave(path: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write("a neighbour's")
    os.chmod(path, 0o666)


def _port(bait: Bait) -> int:
    return 20_000 + bait.key % 10_000


def files_of_a_neighbour(bait: Bait) -> Report:
    """Read what another box wrote to its working directory, /tmp and /dev/shm"""
    return attempt_each(peek, [f"{folder}/agentsd-{bait.key}" for folder in FOLDERS])


def processes_of_a_neighbour(bait: Bait) -> Report:
    """See the processes of another box"""
    for pid in processes():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
            spill(file.read(100_000))
    return stopped("not visible")


def sockets_of_a_neighbour(bait: Bait) -> Report:
    """Connect to an abstract socket and a loopback port of another box"""

    def connect(family: int, address: str | tuple[str, int]) -> str:
        with socket.socket(family) as sock:
            sock.settimeout(2)
            sock.connect(address)
        return f"connected to {address}"

    report = attempt(lambda: connect(socket.AF_UNIX, f"\0agentsd-{bait.key}"))
    if report.ending == "succeeded":
        return report
    return attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", _port(bait))))


def memory_of_a_neighbour(bait: Bait) -> Report:
    """Attach the System V shared memory of another box"""
    return attempt(lambda: raw(NUMBERS["shmget"], bait.key, SIZE, 0))
