"""The bwrap sandbox: a persistent box of Linux namespaces for each episode.

A box sees the host's ``/usr`` read-only, an empty ``/work`` and ``/tmp`` of fixed size and number
of files, no network, no process but its own and none of the host's files or variables. Its user has
no capability and can get none, and is nobody else's where agentsd runs as root; dangerous system
calls are refused. Memory and processor time of all processes together are limited where this
process may create control groups; files count as memory there, and a box has at least what its
folders may hold. Never opens a box that it cannot close.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property

import anyio

from agentsd.boxes import MIB, BoxSpec, ExecResult, Probe
from agentsd.errors import ConfigError, DataError, InfraError
from agentsd.sandbox import cgroups, interpreter
from agentsd.sandbox.box_client import DIED, BoxClient, Reply
from agentsd.sandbox.bwrap_plan import (
    Program,
    environment,
    find_bwrap,
    plan,
    resource_limits,
    server_program,
    whole_limits,
)
from agentsd.sandbox.bwrap_probe import Kernel, explained, probe_box, strength
from agentsd.sandbox.bwrap_process import BoxProcess, launch_command, running
from agentsd.sandbox.inbox.wire import RESULT
from agentsd.sandbox.throwaway import users

START_S = 30.0
"""How long a box may take to start; a busy machine that starts hundreds at once takes seconds."""
FILE_S = 60.0
PACK_S = 600.0
GRACE_S = 15.0
"""How much later than its deadline a command's result may come."""
FILE_BYTES = 64 * MIB
"""Largest file that ``read`` gives and ``write`` takes, and largest input of a command."""


class BwrapBox:
    """One open box. Implements ``Sandbox`` and ``Snapshots``; relative paths are in ``/work``."""

    def __init__(self, client: BoxClient, spec: BoxSpec) -> None:
        self._client = client
        self._limits = spec.limits

    async def exec(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> ExecResult:
        """Run a command in ``/work`` and end all it started, daemons too.

        The exit code is a shell's: 128 + signal, 127 for a program that is not there. Raises
        ``InfraError`` when the box died, ``ConfigError`` for an empty command.
        """
        if not argv or not timeout_s > 0 or len(stdin) > FILE_BYTES:
            raise ConfigError("a command needs a program, a positive deadline, stdin up to 64 MiB")
        request = ("exec", [_encoded(word) for word in argv], bytes(stdin), float(timeout_s))
        limit = RESULT.size + 2 * self._limits.output_bytes
        reply = await self._client.ask(request, seconds=timeout_s + GRACE_S, limit=limit)
        if reply.error:
            raise InfraError(f"the box cannot start a process: {reply.error.strerror}")
        code, is_late, dropped, seconds, size = RESULT.unpack(reply.result[: RESULT.size])
        output = reply.result[RESULT.size :]
        return ExecResult(None if is_late else code, output[:size], output[size:], dropped, seconds)

    async def read(self, path: str) -> bytes:
        """A regular file's bytes. Raises ``OSError``, EFBIG beyond 64 MiB; or ``InfraError``."""
        request = ("read", _encoded(path), FILE_BYTES)
        reply = await self._client.ask(request, seconds=FILE_S, limit=2 * FILE_BYTES)
        return _unless_refused(reply, path).data

    async def write(self, path: str, data: bytes) -> None:
        """Create or replace a file, and its folders. Raises as ``read`` does."""
        if len(data) > FILE_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        request = ("write", _encoded(path))
        _unless_refused(await self._client.ask(request, body=data, seconds=FILE_S, limit=MIB), path)

    async def snapshot(self) -> bytes:
        """``/work`` as a tar archive. Raises ``InfraError``, also for more than the limits.

        Modes, times, links and empty folders are kept; sockets, attributes and ``/tmp`` are not.
        """
        limit = 2 * self._limits.workdir_bytes + 4096 * self._limits.num_files + MIB
        reply = await self._client.ask(("snapshot",), seconds=PACK_S, limit=limit)
        if reply.error:
            raise InfraError(f"the box cannot be packed: {reply.error.strerror}")
        return reply.data

    async def restore(self, snapshot: bytes) -> None:
        """Make ``/work`` what it was. Raises ``DataError`` for bytes that are no snapshot."""
        reply = await self._client.ask(("restore",), body=snapshot, seconds=PACK_S, limit=MIB)
        if reply.error and reply.error.errno == errno.EBADMSG:
            raise DataError(f"not a snapshot of a box: {reply.error.strerror}")
        if reply.error:
            raise InfraError(f"the box cannot be restored: {reply.error.strerror}")


class BwrapBackend:
    """Opens bwrap boxes, each with another user. Implements ``SandboxBackend``."""

    async def probe(self) -> Probe:
        """Open a box, run a command in it, and say how it is isolated. Never raises."""
        return await probe_box(self.box, self._strength)

    @asynccontextmanager
    async def box(self, spec: BoxSpec) -> AsyncIterator[BwrapBox]:
        """A fresh box until the context ends, or this process, or the thread that entered it.

        Entering raises ``ConfigError`` where this machine cannot isolate, with the fix, and for a
        spec that asks for what bwrap does not have; ``InfraError`` when the box does not start.
        """
        whole = whole_limits(spec.limits)
        async with cgroups.opened(self._hierarchy, spec.run, whole) as join:
            how = plan(spec, self._server, join=join, uid=next(self._users))
            with launch_command(self._python, how) as command:
                async with running(command) as process, _connected(process, spec) as client:
                    yield BwrapBox(client, spec)

    @cached_property
    def _users(self) -> Iterator[int | None]:
        return users()

    @cached_property
    def _python(self) -> interpreter.Interpreter:
        return interpreter.find()

    @cached_property
    def _server(self) -> Program:
        return server_program(self._python)

    @cached_property
    def _hierarchy(self) -> cgroups.Hierarchy:
        return cgroups.find()

    async def _strength(self) -> str:
        version = await anyio.run_process([find_bwrap(), "--version"])
        text = version.stdout.decode().strip()
        return strength(text, self._hierarchy.controllers, os.geteuid() == 0)


@asynccontextmanager
async def _connected(process: BoxProcess, spec: BoxSpec) -> AsyncIterator[BoxClient]:
    """The client, once the server in the box has answered. Raises as ``BwrapBackend.box`` does."""
    reader, writer = await asyncio.open_connection(sock=process.socket)
    client = BoxClient(reader, writer, process.last_line)
    settings = {
        "env": environment(spec),
        "rlimits": resource_limits(spec.limits),
        "output_bytes": spec.limits.output_bytes,
    }
    try:
        try:
            await client.ask(("open", settings), seconds=START_S, limit=MIB)
        except InfraError as error:
            raise explained(str(error).removeprefix(DIED), Kernel.read()) from error
        yield client
    finally:
        await client.close()


def _unless_refused(reply: Reply, path: str) -> Reply:
    if reply.error:
        raise OSError(reply.error.errno, reply.error.strerror, path)
    return reply


def _encoded(text: str) -> bytes:
    """As the file system has it; text that no file system has, such as half a pair, too."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")
