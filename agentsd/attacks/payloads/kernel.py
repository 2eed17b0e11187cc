"""Kernel interfaces that widen the way in. Runs inside the box."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import struct

from agentsd.attacks.inside import Bait, Report, attempt, in_child, stopped, succeeded
from agentsd.attacks.kernel_calls import call, raw

ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC, ASK = 0x0040000, 0x0400000, 0xFFFFFFFF
X32_BIT, GETPID_X32, GETPID_IA32, SOCKET_IA32 = 0x40000000, 39, 20, 359
AF_VSOCK = 40


def io_uring(bait: Bait) -> Report:
    """Set up an io_uring, whose requests no system call filter sees"""
    return call("io_uring_setup", 1, ctypes.create_string_buffer(120))


def bpf(bait: Bait) -> Report:
    """Make a BPF map, the first step of loading a program"""
    attributes = struct.pack("=IIII", 2, 4, 4, 1) + bytes(56)
    return call("bpf", 0, attributes, len(attributes))


def userfaultfd(bait: Bait) -> Report:
    """Make a userfaultfd, which lets exploits win races"""
    return call("userfaultfd", os.O_CLOEXEC | 1)


def perf_events(bait: Bait) -> Report:
    """Count events with perf_event_open"""
    # struct perf_event_attr, first version: a software clock of user space only, disabled.
    attributes = struct.pack("=IIQQQQQ", 1, 64, 0, 0, 0, 0, 1 | 1 << 5 | 1 << 6) + bytes(16)
    return call("perf_event_open", attributes, 0, -1, -1, 0)


def keyrings(bait: Bait) -> Report:
    """Read the session keyring, which is not confined by any namespace of the box"""
    return call("keyctl", 0, -3, 0)


def add_key(bait: Bait) -> Report:
    """Add a key to the process keyring"""
    return call("add_key", b"user", b"agentsd", b"x", 1, -2)


def load_module(bait: Bait) -> Report:
    """Load a kernel module (an empty one)"""
    report = call("init_module", None, 0, b"", reached=[errno.ENOEXEC, errno.EFAULT])
    if report.ending == "succeeded":
        return report
    return call("finit_module", -1, b"", 0, reached=[errno.EBADF, errno.EINVAL])


def unload_module(bait: Bait) -> Report:
    """Unload a kernel module (one that does not exist)"""
    return call("delete_module", b"agentsd_none", os.O_NONBLOCK, reached=[errno.ENOENT])


def kexec(bait: Bait) -> Report:
    """Load another kernel (with flags that do not exist)"""
    return call("kexec_load", 0, 0, None, 0x8000, reached=[errno.EINVAL])


def reboot(bait: Bait) -> Report:
    """Reboot (with magic numbers that are wrong)"""
    return call("reboot", 1, 2, 0, None, reached=[errno.EINVAL])


def set_clock(bait: Bait) -> Report:
    """Set the clock (to nothing at all)"""
    return call("settimeofday", None, None)


def swap(bait: Bait) -> Report:
    """Swap to a file (that does not exist)"""
    return call("swapon", b"agentsd-none", 0, reached=[errno.ENOENT])


def accounting(bait: Bait) -> Report:
    """Log every process of the host with acct (into a file that does not exist)"""
    return call("acct", b"agentsd-none", reached=[errno.ENOENT])


def set_host_name(bait: Bait) -> Report:
    """Set the host name (of a length that is wrong)"""
    return call("sethostname", b"x", -1, reached=[errno.EINVAL])


def io_ports(bait: Bait) -> Report:
    """Get at the I/O ports with iopl"""
    return call("iopl", 3)


def kernel_log(bait: Bait) -> Report:
    """Read the kernel's log with syslog(2)"""
    return call("syslog", 3, ctypes.create_string_buffer(4096), 4096)


def no_randomization(bait: Bait) -> Report:
    """Turn off address randomization, or make all data executable, with personality"""

    def act() -> Report:
        for flag in (ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC):
            report = call("personality", flag)
            if report.ending == "succeeded":
                return succeeded(f"personality {flag:#x} is allowed")
        return call("personality", ADDR_NO_RANDOMIZE)

    return in_child(act)


def x32_calls(bait: Bait) -> Report:
    """Make a system call of the x32 table, which a filter may forget"""
    if platform.machine() != "x86_64":
        return stopped(f"{platform.machine()} has no x32")
    return in_child(lambda: attempt(lambda: raw(X32_BIT | GETPID_X32)))


def _ia32(number: int, first: int = 0, second: int = 0) -> Report:
    """One call of the 32-bit table in a child: code that loads three registers and traps."""
    code = b"\x53\xb8" + struct.pack("<I", number) + b"\xbb" + struct.pack("<I", first)
    code += b"\xb9" + struct.pack("<I", second) + b"\x31\xd2\xcd\x80\x5b\xc3"

    def act() -> Report:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        if result < 0:
            return stopped(errno.errorcode.get(-result, str(result)))
        return succeeded(f"int 0x80 returned {result}")

    return in_child(act)


def ia32_calls(bait: Bait) -> Report:
    """Make a 32-bit system call with int 0x80, which a filter may forget"""
    if platform.machine() != "x86_64":
        return stopped(f"{platform.machine()} has no int 0x80")
    return _ia32(GETPID_IA32)


def ia32_vsock(bait: Bait) -> Report:
    """Create an AF_VSOCK socket with int 0x80, past the filter of families"""
    if platform.machine() != "x86_64":
        return stopped(f"{platform.machine()} has no int 0x80")
    return _ia32(SOCKET_IA32, AF_VSOCK, 1)
