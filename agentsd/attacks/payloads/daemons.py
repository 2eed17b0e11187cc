"""Processes that want to outlive the command that started them. Runs inside the box.

They end by themselves after a minute; whether one is left before that is seen on the host.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from agentsd.attacks.inside import Bait, Report, attempt, ready, succeeded

LINGER_S = 60
CATCHABLE = set(range(1, signal.NSIG)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGALRM, 32, 33}


def _linger() -> None:
    """Sleep as a process that nothing polite ends."""
    for number in CATCHABLE:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    signal.alarm(LINGER_S)
    while True:
        signal.pause()


def _close_output() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)


def background_process(bait: Bait) -> Report:
    """Leave a background process, as nohup does"""
    if not os.fork():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _close_output()
        _linger()
    return ready("it was killed")


def daemon(bait: Bait) -> Report:
    """Leave a daemon: double fork and a session of its own"""
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        _close_output()
        _linger()
    time.sleep(0.2)
    return ready("it was killed")


def daemon_that_holds_the_output(bait: Bait) -> Report:
    """Leave a daemon that keeps stdout and stderr open"""
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        _linger()
    time.sleep(0.2)
    return ready("it was killed and the call returned")


def deaf_process(bait: Bait) -> Report:
    """Ignore every signal and run past the deadline"""
    for number in CATCHABLE:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    time.sleep(20)
    return succeeded("it ran 20 s past the start, the deadline notwithstanding")


def restarting_daemon(bait: Bait) -> Report:
    """Run past the deadline as a chain of processes, each forking the next one and exiting"""
    if os.fork():
        time.sleep(20)
        return succeeded("it ran 20 s past the start, the deadline notwithstanding")
    os.setsid()
    _close_output()
    stop = time.monotonic() + LINGER_S
    while time.monotonic() < stop:
        with contextlib.suppress(OSError):
            if os.fork():
                os._exit(0)
            with open("beat", "w", encoding="ascii") as file:
                file.write(str(time.monotonic()))
        time.sleep(0.001)
    os._exit(0)


def kill_the_watchdog(bait: Bait) -> Report:
    """Stop and kill every process that might watch the deadline, then run past it"""
    if bait.shares_processes:
        return succeeded("the box shares the host's process namespace")
    for sent in (signal.SIGSTOP, signal.SIGKILL):
        attempt(lambda sent=sent: os.kill(-1, sent))
    return deaf_process(bait)


def cancelled_call(bait: Bait) -> Report:
    """Go on after the host has cancelled the call"""
    return deaf_process(bait)


def killed_parent(bait: Bait) -> Report:
    """Go on after the host process was killed with SIGKILL"""
    return deaf_process(bait)
