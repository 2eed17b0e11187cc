"""What leaks into a box: environments, command lines, descriptors. Runs inside the box.

What is found is spilled; the host knows the secret and looks for it.
"""

from __future__ import annotations

import os
import signal

from agentsd.attacks.inside import (
    Bait,
    Report,
    attempt,
    error_name,
    processes,
    spill,
    stopped,
    succeeded,
)


def _spill_files(name: str) -> Report:
    """Spill a file of every process; the host decides."""
    reasons = set()
    count = 0
    for pid in processes():
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                spill(file.read(100_000))
                count += 1
        except OSError as error:
            reasons.add(error_name(error))
    return stopped(f"nothing of the host in {count} files {' '.join(sorted(reasons))}".rstrip())


def own_environment(bait: Bait) -> Report:
    """Find a secret of the host process in the own environment"""
    spill(b"\0".join(name + b"=" + value for name, value in os.environb.items()))
    return stopped(f"{len(os.environb)} variables, none of the host")


def environments(bait: Bait) -> Report:
    """Find a secret of the host in /proc/PID/environ of every process, pid 1 too"""
    return _spill_files("environ")


def command_lines(bait: Bait) -> Report:
    """Find a secret of a host process in /proc/PID/cmdline"""
    return _spill_files("cmdline")


def signal_host_process(bait: Bait) -> Report:
    """Kill a process of the host by its id"""

    def act() -> str:
        os.kill(bait.pid, signal.SIGKILL)
        return f"signalled {bait.pid}"

    return attempt(act)


def inherited_descriptors(bait: Bait) -> Report:
    """Read a host file through a descriptor the host left open and inheritable"""
    extra = 0
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                spill(os.pread(int(name), 4096, 0))
                extra += 1
            except OSError as error:
                spill(error_name(error).encode())
    return stopped("not inherited" if not extra else f"nothing of the host in {extra} files")


def descriptors_of_the_box(bait: Bait) -> Report:
    """Find pipes or sockets of the sandbox itself among the own descriptors"""
    found = []
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        path = f"/proc/self/fd/{name}"
        # The folder that is being listed has a descriptor too, and it is closed by now.
        if int(name) > 2 and os.path.lexists(path):
            found.append(f"{name} -> {os.readlink(path)}")
    return succeeded(", ".join(found)) if found else stopped("only 0, 1 and 2 are open")


def kernel_addresses(bait: Bait) -> Report:
    """Read kernel addresses in /proc/kallsyms"""

    def first() -> str:
        with open("/proc/kallsyms", encoding="ascii") as lines:
            return next(lines)

    report = attempt(first)
    if report.ending == "succeeded" and int(report.detail.strip("'").split()[0], 16) == 0:
        return stopped("addresses read as zero")
    return report
