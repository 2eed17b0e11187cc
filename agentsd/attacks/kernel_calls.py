"""System calls by name, on x86_64 and aarch64. Runs inside the box.

Every call is made in a forked child with arguments that change nothing where they are allowed:
an errno such as ENODEV then tells that the check for privilege was passed. Knows nothing of the
host.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Collection

from agentsd.attacks.inside import Report, in_child, stopped, succeeded

# fmt: off
X86_64 = {
    "ptrace": 101, "syslog": 103, "personality": 135, "pivot_root": 155, "acct": 163,
    "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "reboot": 169,
    "sethostname": 170, "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176,
    "quotactl": 179, "kexec_load": 246, "add_key": 248, "keyctl": 250, "unshare": 272,
    "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313, "bpf": 321,
    "userfaultfd": 323, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "mount_setattr": 442,
    "shmget": 29, "shmat": 30, "shmctl": 31,
}
AARCH64 = {
    "ptrace": 117, "syslog": 116, "personality": 92, "pivot_root": 41, "acct": 89,
    "settimeofday": 170, "mount": 40, "umount2": 39, "swapon": 224, "reboot": 142,
    "sethostname": 161, "init_module": 105, "delete_module": 106,
    "quotactl": 60, "kexec_load": 104, "add_key": 217, "keyctl": 219, "unshare": 97,
    "perf_event_open": 241, "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268,
    "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273, "bpf": 280,
    "userfaultfd": 282, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "mount_setattr": 442,
    "shmget": 194, "shmctl": 195, "shmat": 196,
}
# fmt: on
NUMBERS = {"x86_64": X86_64, "aarch64": AARCH64}.get(platform.machine(), {})


def raw(number: int, *arguments: object) -> int:
    """The call's result. Raises ``OSError`` with its error number."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    wide = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def call(name: str, *arguments: object, reached: Collection[int] = ()) -> Report:
    """Succeeded when the call is allowed, or fails with an error number in ``reached``."""
    if name not in NUMBERS:
        return stopped(f"{platform.machine()} has no {name}")
    return in_child(lambda: _call(NUMBERS[name], name, arguments, reached))


def _call(
    number: int, name: str, arguments: tuple[object, ...], reached: Collection[int]
) -> Report:
    try:
        return succeeded(f"{name} returned {raw(number, *arguments)}")
    except OSError as error:
        symbol = errno.errorcode.get(error.errno or 0, "error")
        if error.errno in reached:
            return succeeded(f"{name} was let through ({symbol})")
        return stopped(symbol)
