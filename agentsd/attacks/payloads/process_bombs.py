"""Bombs of processes, and hogs of processors. Runs inside the box.

Each is bounded by a count, by bytes and by seconds, a few times the limit it is aimed at.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time

from agentsd.attacks.inside import Bait, Report, compare, error_name, succeeded

HOLD_S = 20


def fork_bomb(bait: Bait) -> Report:
    """Fork four times as many processes as the box may have"""
    children, why = [], "nothing"
    for _ in range(4 * bait.num_processes):
        try:
            child = os.fork()
        except OSError as error:
            why = error_name(error)
            break
        if not child:
            signal.alarm(HOLD_S)
            signal.pause()
        children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
    return compare(len(children), bait.num_processes, "processes", why)


def growing_fork_bomb(bait: Bait) -> Report:
    """Fork in every child too, nine generations deep, each in a group of its own"""
    first, why = os.getpid(), "nothing"
    reader, writer = os.pipe()
    for _ in range(9):
        try:
            if not os.fork():
                os.setpgid(0, 0)
        except OSError as error:
            why = error_name(error)
    signal.alarm(HOLD_S)
    os.write(writer, b".")
    if os.getpid() != first:
        signal.pause()
    time.sleep(2)
    return compare(len(os.read(reader, 4096)), bait.num_processes, "processes", why)


def thread_bomb(bait: Bait) -> Report:
    """Start four times as many threads as the box may have processes"""
    done = threading.Event()
    threading.stack_size(64 * 1024)
    count = 0
    try:
        for _ in range(4 * bait.num_processes):
            threading.Thread(target=done.wait, args=(HOLD_S,), daemon=True).start()
            count += 1
    except RuntimeError:
        pass
    finally:
        done.set()
    return compare(count, bait.num_processes, "threads", "EAGAIN")


def processor_share(bait: Bait) -> Report:
    """Use more processors than the box may, for two seconds in four processes"""
    start = time.monotonic()
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            while time.monotonic() < start + 2:
                errno.errorcode.get(0)
            os._exit(0)
        children.append(child)
    used = 0.0
    for child in children:
        usage = os.wait4(child, 0)[2]
        used += usage.ru_utime + usage.ru_stime
    share = round(used / (time.monotonic() - start), 2)
    return compare(share, bait.cpus, "processors", "throttled")


def endless_loop(bait: Bait) -> Report:
    """Loop past the deadline in four processes"""
    for _ in range(2):
        os.fork()
    stop = time.monotonic() + HOLD_S
    while time.monotonic() < stop:
        errno.errorcode.get(0)
    return succeeded(f"still looping after {HOLD_S} s")
