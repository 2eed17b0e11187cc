"""What every payload stands on: try something, tell how it ended. Runs inside the box.

The source is sent to the box as text and runs there under whatever Python 3.8 or later it has, so
it uses the standard library only. Knows nothing of the host but what ``Bait`` says.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""That of the machine's own init; the number is fixed in the kernel."""

SLACK = 1.25
"""How far past its limit a bomb may get before the limit has failed; accounting is coarse."""


class Bait(NamedTuple):
    """What a payload is told of the host: where the bait lies, never the secret in it."""

    marker: str
    """A host file, readable and writable by everyone, with the secret in it."""
    shm: str
    """Another one, in the host's ``/dev/shm``."""
    tcp4: int
    """Ports on the host's loopback where the suite listens; 0 where the host has no such family."""
    tcp6: int
    udp: int
    abstract: str
    """Name of an abstract unix socket of the host, without the leading NUL."""
    socket: str
    """Path of a unix socket of the host."""
    pid: int
    """A process of the host that the suite started; attacks may signal it."""
    pid_namespace: str
    """The host's process namespace, as ``/proc/self/ns/pid`` names it."""
    residents: tuple[int, ...]
    """Processes that were in the box before the payload."""
    key: int
    """Differs in each attack; names shared memory."""
    memory_bytes: int
    workdir_bytes: int
    num_files: int
    num_processes: int
    cpus: float
    output_bytes: int

    @property
    def shares_processes(self) -> bool:
        """Whether the box has no process namespace of its own; then nothing here may kill.

        Raises ``OSError`` where that cannot be told.
        """
        return os.readlink("/proc/self/ns/pid") in (self.pid_namespace, FIRST_PID_NAMESPACE)


class Report(NamedTuple):
    """How an attempt ended, as seen from inside."""

    ending: str
    """``succeeded``, ``stopped``, or ``ready``: the host side goes on and decides."""
    detail: str


def succeeded(evidence: str) -> Report:
    """The attack worked."""
    return Report("succeeded", evidence)


def stopped(by: str) -> Report:
    """The attack was stopped; ``by`` names what stopped it."""
    return Report("stopped", by)


def compare(got: float, limit: float, unit: str, why: str) -> Report:
    """Succeeded when a bomb got far past its limit; ``why`` says what stopped it before that."""
    if got > limit * SLACK:
        return succeeded(f"{got:g} {unit} where {limit:g} are allowed")
    return stopped(f"{why} at {got:g} {unit}")


def ready(detail: str = "") -> Report:
    """The trap is set; the host side springs it."""
    return Report("ready", detail)


def error_name(error: OSError) -> str:
    """The symbol of the error number, such as ``EPERM``."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def spill(data: bytes) -> None:
    """Write what was found where the host looks for its secret."""
    sys.stdout.buffer.write(data + b"\n")
    sys.stdout.buffer.flush()


def attempt(act: Callable[[], object]) -> Report:
    """Succeeded when ``act`` returns, stopped by the error number it raises."""
    try:
        return succeeded(repr(act())[:200])
    except OSError as error:
        return stopped(error_name(error))


def peek(path: str) -> object:
    """Open a file for reading, and spill its first bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        data = os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
    spill(data)
    return f"read {len(data)} bytes of {path}"


def open_to_write(path: str) -> str:
    """Open a file for writing and close it: nothing is ever written."""
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    return f"{path} opens for writing"


def attempt_each(act: Callable[[str], object], targets: Iterable[str]) -> Report:
    """Try every target: succeeded with those that worked, or stopped by all the reasons."""
    reports = [(target, attempt(lambda target=target: act(target))) for target in targets]
    worked = [target for target, report in reports if report.ending == "succeeded"]
    if worked:
        return succeeded("worked: " + " ".join(worked)[:200])
    counts = Counter(report.detail for _, report in reports)
    return stopped(", ".join(f"{name} {count}x" for name, count in counts.items()) or "no target")


def in_child(act: Callable[[], Report], seconds: int = 10) -> Report:
    """Run ``act`` in a forked child, which a system call filter may kill."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(seconds)
        report = attempt(lambda: os.write(writer, "\0".join(act()).encode()))
        os._exit(0 if report.ending == "succeeded" else 1)
    os.close(writer)
    data = b""
    while chunk := os.read(reader, 65536):
        data += chunk
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return stopped(f"killed by {signal.Signals(os.WTERMSIG(status)).name}")
    ending, _, detail = data.decode().partition("\0")
    return Report(ending, detail)


def processes() -> list[int]:
    """All process ids that ``/proc`` shows."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def status_field(name: str) -> str:
    """A field of ``/proc/self/status``. Raises ``KeyError``."""
    with open("/proc/self/status", encoding="ascii") as lines:
        fields = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return fields[name]
