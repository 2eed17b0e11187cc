"""Privileges, and power over other processes of the box. Runs inside the box.

Nothing is done to a process unless the box has a process namespace of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import stat
import time

from agentsd.attacks.inside import (
    Bait,
    Report,
    attempt,
    attempt_each,
    in_child,
    open_to_write,
    ready,
    status_field,
    stopped,
    succeeded,
)
from agentsd.attacks.kernel_calls import NUMBERS, call, raw

PTRACE_SEIZE = 0x4206
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")
LIMITS = ("AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "NOFILE", "NPROC", "NICE", "RTPRIO")


def become_root(bait: Bait) -> Report:
    """Become user 0 with setuid, setgid and setgroups"""

    def act() -> Report:
        reports = [attempt(lambda: os.setgroups([0])), attempt(lambda: os.setgid(0))]
        reports.append(attempt(lambda: os.setuid(0)))
        return next((each for each in reports if each.ending == "succeeded"), reports[-1])

    return in_child(act)


def run_as_host_root(bait: Bait) -> Report:
    """Be user 0 of the host already, whatever the box calls the user"""
    time.sleep(3)
    return ready()


def hold_capabilities(bait: Bait) -> Report:
    """Hold a capability"""
    held = {name: status_field(name) for name in CAPABILITIES}
    if any(int(value, 16) for value in held.values()):
        return succeeded(str(held))
    return stopped("all capability sets are empty")


def set_uid_programs(bait: Bait) -> Report:
    """Gain privileges from a set-uid program"""
    if status_field("NoNewPrivs") == "1":
        return stopped("no_new_privs")
    programs = []
    for folder in ("/usr/bin", "/bin", "/usr/sbin", "/usr/lib/openssh"):
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            mode = os.lstat(os.path.join(folder, name)).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                programs.append(name)
    return succeeded(f"no_new_privs is off and these are there: {programs}"[:200])


def raise_own_limits(bait: Bait) -> Report:
    """Raise a resource limit"""

    def act(name: str) -> None:
        which = getattr(resource, f"RLIMIT_{name}")
        soft, _ = resource.getrlimit(which)
        try:
            resource.setrlimit(which, (soft, resource.RLIM_INFINITY))
        except ValueError as error:
            raise PermissionError(errno.EPERM, str(error)) from error

    def is_set(name: str) -> bool:
        return resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] != resource.RLIM_INFINITY

    return attempt_each(act, filter(is_set, LIMITS))


def raise_priority(bait: Bait) -> Report:
    """Get real-time priority or a negative nice value"""

    def act() -> Report:
        reports = [attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))]
        reports.append(attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)))
        return next((each for each in reports if each.ending == "succeeded"), reports[0])

    return in_child(act)


def _residents(bait: Bait) -> list[int]:
    return [pid for pid in bait.residents if pid != os.getpid() and os.path.exists(f"/proc/{pid}")]


def _on_residents(bait: Bait, name: str, *after: object, reached: tuple[int, ...] = ()) -> Report:
    """Call ``name(pid, *after)`` on every process that was here before; never on the host's."""
    if bait.shares_processes:
        return succeeded("the box shares the host's process namespace")
    reports = [call(name, pid, *after, reached=reached) for pid in _residents(bait)]
    bad = [each for each in reports if each.ending == "succeeded"]
    return bad[0] if bad else stopped(", ".join(sorted({each.detail for each in reports})))


def trace_the_box(bait: Bait) -> Report:
    """Attach ptrace to pid 1 and the box's other processes"""
    if bait.shares_processes:
        return succeeded("the box shares the host's process namespace")
    reports = [call("ptrace", PTRACE_SEIZE, pid, None, None) for pid in _residents(bait)]
    bad = [each for each in reports if each.ending == "succeeded"]
    return bad[0] if bad else stopped(", ".join(sorted({each.detail for each in reports})))


def read_memory_of_the_box(bait: Bait) -> Report:
    """Read memory of pid 1 and the box's other processes with process_vm_readv"""
    buffer = ctypes.create_string_buffer(1)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 1)
    remote = (ctypes.c_size_t * 2)(4096, 1)
    here, there = ctypes.byref(local), ctypes.byref(remote)
    return _on_residents(
        bait, "process_vm_readv", here, 1, there, 1, 0, reached=(errno.EFAULT, errno.EIO)
    )


def open_memory_of_the_box(bait: Bait) -> Report:
    """Open /proc/PID/mem of pid 1 and the box's other processes for writing"""
    if bait.shares_processes:
        return succeeded("the box shares the host's process namespace")
    return attempt_each(open_to_write, [f"/proc/{pid}/mem" for pid in _residents(bait)])


def steal_descriptors(bait: Bait) -> Report:
    """Copy a descriptor of pid 1 and the box's other processes with pidfd_getfd"""

    def act(pid: str) -> str:
        descriptor = raw(NUMBERS["pidfd_open"], int(pid), 0)
        report = call("pidfd_getfd", descriptor, 0, 0)
        os.close(descriptor)
        if report.ending == "succeeded":
            return report.detail
        raise OSError(getattr(errno, report.detail, 0), report.detail)

    if bait.shares_processes:
        return succeeded("the box shares the host's process namespace")
    return in_child(lambda: attempt_each(act, [str(pid) for pid in _residents(bait)]))


def kill_the_box(bait: Bait) -> Report:
    """Kill and stop pid 1 and the box's other processes, one by one and with kill -1"""
    if bait.shares_processes:
        return succeeded("the box shares the host's process namespace")
    for sent in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (*_residents(bait), -1):
            attempt(lambda pid=pid, sent=sent: os.kill(pid, sent))
    return ready("signals had no effect")


def forge_answers(bait: Bait) -> Report:
    """Write junk into the pipes of the box's other processes, to forge answers"""
    if bait.shares_processes:
        return succeeded("the box shares the host's process namespace")
    own = {_target(f"/proc/self/fd/{number}") for number in range(3)}
    written, reasons = 0, set()
    for pid in _residents(bait):
        for number in range(20):
            path = f"/proc/{pid}/fd/{number}"
            if not os.path.lexists(path) or _target(path) in own:
                continue
            report = attempt(lambda path=path: _write_junk(path))
            written += report.ending == "succeeded"
            reasons.add(report.detail)
    if written:
        return ready(f"junk in {written} pipes had no effect")
    return ready(", ".join(sorted(reasons)) or "no descriptor is visible")


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _write_junk(path: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(descriptor, b"\0\0\0\7AGENTSD\n" * 10)
    finally:
        os.close(descriptor)
