"""Starts one command in the box, watches it, and ends all that it started.

Knows nothing of frames beyond the one that says ``kill``, and nothing of files.
"""

from __future__ import annotations

# The public module builds enums, which takes a tenth of a box's start.
import _signal as signal  # pyright: ignore[reportMissingImports]
import ctypes
import os
import select
import time

from agentsd.sandbox.inbox.confinement import NOT_EXECUTABLE, become
from agentsd.sandbox.inbox.wire import CHUNK, RESULT

IPC_RMID = 0
SETTLE_S = 5.0
"""How long killed processes may take to be gone."""


class Stuck(Exception):
    """Killed processes that do not go away: the box cannot be used any more."""


class Children:
    """All processes of the box but this one, which is process 1 and so inherits every orphan."""

    def __init__(self):
        self.woken, notify = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(notify)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        libc = ctypes.CDLL(None)
        self._removers = {
            "shm": lambda number: libc.shmctl(number, IPC_RMID, None),
            "msg": lambda number: libc.msgctl(number, IPC_RMID, None),
            "sem": lambda number: libc.semctl(number, 0, IPC_RMID),
        }

    def reap(self):
        """Statuses by process of those that ended, and whether any is left."""
        self._forget_wake_ups()
        ended = {}
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended, False
            if child == 0:
                return ended, True
            ended[child] = status

    def end(self):
        """Kill them all, daemons too; returns their statuses. Raises ``Stuck``.

        What they shared through System V ends too: it would outlive them, and it takes memory.
        """
        ended, is_any_left, give_up = {}, True, time.monotonic() + SETTLE_S
        while is_any_left:
            if time.monotonic() > give_up:
                raise Stuck
            try:  # noqa: SIM105 - contextlib costs a box's start more than it is worth
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                pass  # none is alive; some may wait to be reaped
            more, is_any_left = self.reap()
            ended.update(more)
            if is_any_left:
                select.select([self.woken], [], [], 0.05)
        for kind, remove in self._removers.items():
            with open(f"/proc/sysvipc/{kind}") as file:
                for line in list(file)[1:]:
                    remove(int(line.split()[1]))
        return ended

    def _forget_wake_ups(self):
        try:  # noqa: SIM105 - see above
            os.read(self.woken, CHUNK)
        except BlockingIOError:
            pass


class Sink:
    """One output of a command: keeps the first bytes and counts the others."""

    def __init__(self, descriptor, cap):
        os.set_blocking(descriptor, False)
        self.descriptor, self.cap = descriptor, cap
        self.kept, self.dropped = bytearray(), 0

    def move(self):
        """Take what is there; False once nobody can write any more."""
        try:
            data = os.read(self.descriptor, CHUNK)
        except BlockingIOError:
            return True
        room = max(0, self.cap - len(self.kept))
        self.kept += data[:room]
        self.dropped += max(0, len(data) - room)
        return bool(data)


class Feed:
    """The input of a command."""

    def __init__(self, descriptor, data):
        os.set_blocking(descriptor, False)
        self.descriptor, self.rest = descriptor, memoryview(data)

    def move(self):
        """Give what fits; False once all is given or nobody reads it."""
        try:
            self.rest = self.rest[os.write(self.descriptor, self.rest) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return bool(self.rest)


class Streams:
    """The ends of a command's pipes that are still open."""

    def __init__(self, feed, sinks):
        self.poll, self.open = select.poll(), {}
        self._add(feed, select.POLLOUT)
        for sink in sinks:
            self._add(sink, select.POLLIN)

    def _add(self, stream, events):
        self.open[stream.descriptor] = stream
        self.poll.register(stream.descriptor, events)

    def move(self, wait_s):
        """Move what can be moved; returns the other descriptors that became readable."""
        ready = self.poll.poll(None if wait_s is None else max(0, wait_s) * 1000)
        others = []
        for descriptor, _ in ready:
            if descriptor not in self.open:
                others.append(descriptor)
            elif not self.open[descriptor].move():
                self.drop(descriptor)
        return others

    def drop(self, descriptor):
        """Close one end."""
        self.poll.unregister(descriptor)
        os.close(descriptor)
        del self.open[descriptor]


def run(wire, children, settings, request):
    """Run one command to its end, its deadline or the host's ``kill``; returns the reply's parts.

    Raises ``Gone``, ``Stuck``, and ``OSError`` where no process can be started.
    """
    argv, stdin, seconds = request
    started = time.monotonic()
    child, (stdin_fd, *output_fds) = _start(argv, settings)
    out, err = sinks = [Sink(fd, settings["output_bytes"]) for fd in output_fds]
    feed = Feed(stdin_fd, stdin)
    streams = Streams(feed, sinks)
    if not stdin:
        streams.drop(stdin_fd)
    status = _watch(wire, children, streams, child, started + seconds)
    is_late = status is None
    ended = children.end()
    status = ended[child] if status is None else status
    if feed.descriptor in streams.open:
        streams.drop(feed.descriptor)
    while streams.open:  # whoever could write is dead, so this ends
        streams.move(None)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    dropped, spent = out.dropped + err.dropped, time.monotonic() - started
    return RESULT.pack(code, is_late, dropped, spent, len(out.kept)), out.kept, err.kept


def _watch(wire, children, streams, child, deadline):
    """The child's status once it ended; None when it has to be killed."""
    for descriptor in (wire.descriptor, children.woken):
        streams.poll.register(descriptor, select.POLLIN)
    status = None
    while status is None and time.monotonic() < deadline:
        wait_s = deadline - time.monotonic()
        others = streams.move(None if wait_s > 1e6 else wait_s)
        if wire.descriptor in others and wire.request()[0] == "kill":
            break
        if children.woken in others:
            status = children.reap()[0].get(child)
    for descriptor in (wire.descriptor, children.woken):
        streams.poll.unregister(descriptor)
    return status


def _start(argv, settings):
    """The child, and this side's ends of its three streams."""
    pipes = [os.pipe() for _ in range(3)]
    theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
    mine = [pipes[0][1], pipes[1][0], pipes[2][0]]
    child = 0
    try:
        child = os.fork()
        if child == 0:
            _begin(argv, settings, theirs)
    except OSError:
        for descriptor in mine:
            os.close(descriptor)
        raise
    finally:
        for descriptor in theirs:
            os.close(descriptor)
    return child, mine


def _begin(argv, settings, streams):
    """In the child: the command, with its streams, away from any terminal. Never returns."""
    try:
        os.setsid()
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        become(argv, settings["rlimits"], settings["env"])
    finally:
        os._exit(NOT_EXECUTABLE)
