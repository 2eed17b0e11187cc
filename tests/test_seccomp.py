"""The filter, interpreted instruction by instruction for both machines."""

from __future__ import annotations

import struct

import pytest

from agentsd.errors import ConfigError
from agentsd.sandbox.seccomp import ARCHS, FILTERED, REFUSED, filter_program

ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x50001, 0x50026, 0x50061


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the kernel would do: classic BPF over ``struct seccomp_data``."""
    program = filter_program(machine)
    lines = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    own = ARCHS[machine] if arch is None else arch
    data = struct.pack("=IIQ6Q", number, own, 0, *words)
    value, at = 0, 0
    while True:
        code, yes, no, operand = lines[at]
        at += 1
        if code == 0x20:  # load a word
            (value,) = struct.unpack_from("=I", data, operand)
        elif code == 0x06:  # return
            return operand
        else:
            tests = {0x15: value == operand, 0x25: value > operand, 0x45: bool(value & operand)}
            at += yes if tests[code] else no


def number_of(machine: str, name: str) -> int:
    number = {**FILTERED, **REFUSED}[name][list(ARCHS).index(machine)]
    assert number is not None
    return number


both = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


@both
def test_every_refused_call_is_refused_on_both_machines(machine: str) -> None:
    column = list(ARCHS).index(machine)
    numbers = [pair[column] for pair in REFUSED.values() if pair[column] is not None]
    assert len(numbers) > 45
    assert {verdict(machine, number) for number in numbers if number is not None} == {EPERM}


@pytest.mark.parametrize(
    ("machine", "numbers"),
    [
        # read, openat, execve, mmap, futex, exit_group; from the kernel's tables.
        ("x86_64", [0, 257, 59, 9, 202, 231]),
        ("aarch64", [63, 56, 221, 222, 98, 94]),
    ],
)
def test_everyday_calls_are_allowed(machine: str, numbers: list[int]) -> None:
    assert {verdict(machine, number) for number in numbers} == {ALLOW}


@pytest.mark.parametrize(
    ("machine", "name", "number"),
    [
        ("x86_64", "ptrace", 101),
        ("x86_64", "mount", 165),
        ("x86_64", "unshare", 272),
        ("x86_64", "socket", 41),
        ("x86_64", "bpf", 321),
        ("aarch64", "ptrace", 117),
        ("aarch64", "mount", 40),
        ("aarch64", "unshare", 97),
        ("aarch64", "socket", 198),
        ("aarch64", "bpf", 280),
    ],
)
def test_numbers_are_the_kernels(machine: str, name: str, number: int) -> None:
    assert number_of(machine, name) == number


@both
def test_only_families_that_a_network_namespace_contains_are_allowed(machine: str) -> None:
    socket = number_of(machine, "socket")
    assert {verdict(machine, socket, family, 1) for family in (1, 2, 10)} == {ALLOW}
    assert verdict(machine, socket, 16, 3, 0) == ALLOW  # the routing part of netlink
    assert verdict(machine, socket, 16, 3, 9) == EAFNOSUPPORT  # its audit part
    others = set(range(46)) - {1, 2, 10, 16}
    assert {verdict(machine, socket, family, 1) for family in others} == {EAFNOSUPPORT}


@both
def test_the_upper_half_of_an_argument_does_not_hide_a_family(machine: str) -> None:
    # The kernel takes the family as an int, so it ignores the upper half, and so must the filter.
    assert verdict(machine, number_of(machine, "socket"), (1 << 32) | 40, 1) == EAFNOSUPPORT


@both
def test_threads_are_allowed_and_namespaces_are_not(machine: str) -> None:
    clone = number_of(machine, "clone")
    assert verdict(machine, clone, 0x3D0F00) == ALLOW  # the flags of pthread_create
    assert verdict(machine, clone, 0x1200011) == ALLOW  # those of fork
    # Mount, cgroup, UTS, IPC, user, process and network namespaces.
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, clone, flag | 17) == EPERM
    assert verdict(machine, 435) == ENOSYS  # clone3 keeps its flags in memory


@both
def test_typing_into_a_terminal_is_refused(machine: str) -> None:
    ioctl = number_of(machine, "ioctl")
    assert verdict(machine, ioctl, 0, 0x5412) == EPERM  # TIOCSTI
    assert verdict(machine, ioctl, 0, 0x541C) == EPERM  # TIOCLINUX
    assert verdict(machine, ioctl, 0, 0x5413) == ALLOW  # TIOCGWINSZ


@both
def test_other_personalities_are_refused(machine: str) -> None:
    personality = number_of(machine, "personality")
    assert verdict(machine, personality, 0xFFFFFFFF) == ALLOW
    assert verdict(machine, personality, 0x0040000) == EPERM  # no address randomization


@both
def test_calls_newer_than_the_table_do_not_exist(machine: str) -> None:
    assert verdict(machine, 466) == ALLOW
    assert verdict(machine, 467) == ENOSYS


def test_calls_of_other_machines_kill() -> None:
    assert verdict("x86_64", 0, arch=0x40000003) == KILL  # int 0x80
    assert verdict("aarch64", 63, arch=0x40000028) == KILL  # 32-bit ARM
    assert verdict("x86_64", 0x40000000 | 41) == KILL  # x32


def test_a_machine_without_a_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="no system call filter for riscv64"):
        filter_program("riscv64")
