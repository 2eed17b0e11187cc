"""The system calls that a box refuses, as a BPF program for x86_64 and aarch64.

Namespaces decide what a box can see; this filter takes away what namespaces leave open: families of
sockets that no network namespace contains, namespaces and mounts of its own, other processes'
memory, keys, BPF, io_uring, the kernel's log. Whatever is newer than the table is answered with
``ENOSYS``, which the C library takes as an old kernel. Knows nothing of bwrap or of boxes.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from agentsd.errors import ConfigError

LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_SET, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16
"""Offsets in ``struct seccomp_data``; an argument has 8 bytes, the low word first."""

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN, NO_FAMILY = (
    0x50000 | number for number in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT)
)

ARCHS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
NEWEST = 466
"""The last number in the table's kernel headers, where both machines count alike."""

CLONE_NEW = 0x7E020000
"""Every ``CLONE_NEW*`` flag that ``clone`` takes."""
FAMILIES = (1, 2, 10)
"""Unix, IPv4 and IPv6. Netlink is apart: only its routing protocol, which the C library reads."""
NETLINK = 16
PERSONALITIES = (0, 0xFFFFFFFF)
"""Plain Linux, and the question for the current one."""
TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which type into the terminal that started the program."""

FILTERED = {
    "socket": (41, 198),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "personality": (135, 92),
}
"""Calls that depend on an argument: numbers on x86_64 and aarch64."""

REFUSED = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
"""Refused with EPERM whatever the arguments. ``adjtimex`` stays readable nowhere: a box has no
clock of its own."""


@dataclass(slots=True)
class _Assembler:
    """Instructions whose jumps name labels, which only go forward."""

    lines: list[tuple[int, int, str, str]] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    def load(self, offset: int) -> None:
        self.lines.append((LOAD, offset, "", ""))

    def jump(self, code: int, value: int, *, yes: str = "", no: str = "") -> None:
        """Go to ``yes`` or ``no``; an empty name is the next line."""
        self.lines.append((code, value, yes, no))

    def give(self, verdict: int) -> None:
        self.lines.append((RETURN, verdict, "", ""))

    def label(self, name: str) -> None:
        self.labels[name] = len(self.lines)

    def assemble(self) -> bytes:
        return b"".join(
            struct.pack("=HBBI", code, self._skip(at, yes), self._skip(at, no), value)
            for at, (code, value, yes, no) in enumerate(self.lines)
        )

    def _skip(self, at: int, label: str) -> int:
        distance = self.labels[label] - at - 1 if label else 0
        assert 0 <= distance < 256, f"jump to {label} does not fit"
        return distance


def filter_program(machine: str) -> bytes:
    """The filter for ``machine``, as ``platform.machine`` names it, ready for ``bwrap --seccomp``.

    Raises ``ConfigError`` for a machine without a table.
    """
    if machine not in ARCHS:
        raise ConfigError(f"no system call filter for {machine}; bwrap boxes need {_known()}")
    column = list(ARCHS).index(machine)
    numbers = {name: pair[column] for name, pair in FILTERED.items()}
    refused = [pair[column] for pair in REFUSED.values()]
    program = _Assembler()
    _check_caller(program, machine)
    _dispatch(program, numbers, [number for number in refused if number is not None])
    _check_arguments(program)
    _verdicts(program)
    return program.assemble()


def _known() -> str:
    return " or ".join(ARCHS)


def _check_caller(program: _Assembler, machine: str) -> None:
    """32-bit calls have other numbers, so a program that makes them is killed."""
    program.load(ARCH)
    program.jump(JUMP_EQUAL, ARCHS[machine], no="kill")
    program.load(NUMBER)
    program.jump(JUMP_GREATER, X32_BIT - 1, yes="kill")
    program.jump(JUMP_GREATER, NEWEST, yes="unknown")


def _dispatch(program: _Assembler, filtered: Mapping[str, int], refused: list[int]) -> None:
    # clone3 hides its flags in memory; without it the C library falls back to clone.
    program.jump(JUMP_EQUAL, filtered["clone3"], yes="unknown")
    for name in ("clone", "socket", "ioctl", "personality"):
        program.jump(JUMP_EQUAL, filtered[name], yes=name)
    for number in refused:
        program.jump(JUMP_EQUAL, number, yes="refuse")
    program.give(ALLOW)


def _check_arguments(program: _Assembler) -> None:
    program.label("clone")
    program.load(ARGUMENTS)
    program.jump(JUMP_SET, CLONE_NEW, yes="refuse", no="allow")
    program.label("ioctl")
    program.load(ARGUMENTS + 8)
    for request in TERMINAL_INPUT:
        program.jump(JUMP_EQUAL, request, yes="refuse")
    program.give(ALLOW)
    program.label("personality")
    program.load(ARGUMENTS)
    for persona in PERSONALITIES:
        program.jump(JUMP_EQUAL, persona, yes="allow")
    program.give(REFUSE)
    program.label("socket")
    program.load(ARGUMENTS)
    for family in FAMILIES:
        program.jump(JUMP_EQUAL, family, yes="allow")
    program.jump(JUMP_EQUAL, NETLINK, no="no_family")
    program.load(ARGUMENTS + 16)
    program.jump(JUMP_EQUAL, 0, yes="allow", no="no_family")


def _verdicts(program: _Assembler) -> None:
    verdicts = {
        "allow": ALLOW,
        "refuse": REFUSE,
        "unknown": UNKNOWN,
        "no_family": NO_FAMILY,
        "kill": KILL,
    }
    for name, verdict in verdicts.items():
        program.label(name)
        program.give(verdict)
