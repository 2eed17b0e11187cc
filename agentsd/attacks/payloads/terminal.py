"""The terminal, and floods of output. Runs inside the box."""

from __future__ import annotations

import fcntl
import os

from agentsd.attacks.inside import Bait, Report, attempt_each, in_child, ready, spill

TIOCSCTTY, TIOCSTI, TIOCLINUX = 0x540E, 0x5412, 0x541C
FLOOD_BYTES = 100 * 2**20
ESCAPES = b"\x1b]0;agentsd\x07\x1b[2J\x1b[5n"


def _terminals() -> list[str]:
    names = [f"/proc/self/fd/{number}" for number in range(3)]
    names += ["/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1"]
    if os.path.isdir("/dev/pts"):
        names += [f"/dev/pts/{name}" for name in os.listdir("/dev/pts") if name.isdigit()]
    return names


def _ioctl(path: str, request: int, argument: bytes) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        fcntl.ioctl(descriptor, request, argument)
    finally:
        os.close(descriptor)


def type_into_terminal(bait: Bait) -> Report:
    """Type into a terminal of the host with TIOCSTI (one blank)"""
    return attempt_each(lambda path: _ioctl(path, TIOCSTI, b" "), _terminals())


def paste_into_console(bait: Bait) -> Report:
    """Reach the console's selection with TIOCLINUX (asks for the shift state)"""
    return attempt_each(lambda path: _ioctl(path, TIOCLINUX, b"\6"), _terminals())


def take_terminal(bait: Bait) -> Report:
    """Make a terminal of the host the controlling one"""

    def act() -> Report:
        os.setsid()
        return attempt_each(lambda path: _ioctl(path, TIOCSCTTY, bytes(4)), _terminals())

    return in_child(act)


def escape_sequences(bait: Bait) -> Report:
    """Send terminal escape sequences to whoever prints the output"""
    spill(ESCAPES)
    return ready()


def flood_stdout(bait: Bait) -> Report:
    """Write 100 MB to stdout"""
    return _flood(1)


def flood_stderr(bait: Bait) -> Report:
    """Write 100 MB to stderr"""
    return _flood(2)


def _flood(descriptor: int) -> Report:
    block, total = b"x" * 65536, 0
    while total < FLOOD_BYTES:
        total += os.write(descriptor, block)
    return ready()
