"""A server process as a transport of the SDK: bounded in what it may send, and ended for certain.

The SDK's own transport reads lines of any length in quadratic time, keeps no count and gives a
process two seconds before each of three steps to its end. Knows nothing of sandboxes or tools.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)

from agentsd.errors import InfraError

MAX_LINE_BYTES = 64 * 2**20
"""Longest message; larger than any sensible reply, so that the environment can cut it."""

MAX_LINES = 10_000
"""Lines a server may write for one request; more is a flood."""

MAX_BYTES = 4 * MAX_LINE_BYTES
"""Bytes a server may write for one request."""

CHUNK_BYTES = 2**18
TAIL_BYTES = 2000
"""Of stderr, and of lines on stdout that are no messages, this much is kept for messages."""

TOO_LONG = -32099
"""Our own error code, in the range that the standard leaves to implementations."""

POLL_S = 0.005
KILL_S = 2.0
"""How long a killed process may take to be gone."""

Streams = tuple[
    MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]
]


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is started on this machine."""

    argv: Sequence[str]
    env: Mapping[str, str]
    """All of its environment."""
    cwd: str | None = None
    grace_s: float = 2.0
    """How long it may take to end by itself once its input is closed."""


@dataclass(slots=True)
class ServerProcess:
    """What is known of a running server, for messages and decisions."""

    process: Process | None = None
    stderr: bytearray = field(default_factory=bytearray)
    noise: bytearray = field(default_factory=bytearray)
    """The first lines on stdout that are no messages."""
    num_noise_lines: int = 0
    fault: str = ""
    """Why the connection was given up, if we gave it up."""
    pending: set[RequestId] = field(default_factory=set[RequestId])
    num_lines: int = 0
    num_bytes: int = 0

    def has_ended(self) -> bool:
        """Whether the process was started and is no more."""
        return self.process is not None and self.process.returncode is not None

    def last_line(self) -> str:
        """What was said last on stderr."""
        return _last_line(self.stderr)

    def last_words(self) -> str:
        """What the server said outside of the protocol, as the end of a sentence."""
        if said := self.last_line():
            return f"; it said: {said}"
        printed = _last_line(self.noise)
        return f"; it printed: {printed}" if printed else ""

    def count(self, num_bytes: int) -> None:
        """Count what was read since the last request. Raises ``InfraError`` for a flood."""
        self.num_bytes += num_bytes
        if self.num_lines > MAX_LINES or self.num_bytes > MAX_BYTES:
            self.fault = (
                f"floods its output: {self.num_lines} lines and {self.num_bytes} bytes "
                f"since the last request"
            )
            raise InfraError(self.fault)


@contextlib.asynccontextmanager
async def process_streams(launch: Launch, server: ServerProcess) -> AsyncGenerator[Streams]:
    """Start the process and connect to it; leaving ends it and its process group.

    Raises ``OSError`` when it cannot be started. ``server`` is filled in.
    """
    process = await anyio.open_process(
        list(launch.argv), env=dict(launch.env), cwd=launch.cwd, start_new_session=True
    )
    server.process = process
    to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as group:
        group.start_soon(_read, server, process, to_session)
        group.start_soon(_write, server, process, from_session, to_session)
        group.start_soon(_listen, server, process)
        try:
            yield from_server, to_server
        finally:
            with anyio.CancelScope(shield=True):
                from_server.close()
                to_server.close()
                await _end(process, launch.grace_s)
                from_session.close()
                to_session.close()
            group.cancel_scope.cancel()


async def _read(
    server: ServerProcess,
    process: Process,
    session: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    """Give the session every message; drain what comes after it has gone."""
    assert process.stdout is not None
    try:
        async with session, contextlib.aclosing(_lines(process.stdout, server)) as lines:
            async for line in lines:
                message = _message(line, server)
                if message is not None:
                    await session.send(message)
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, ConnectionError):
        pass  # either side has ended
    except InfraError:
        process.kill()  # a flood would go on; ``fault`` says why
    await _drain(process.stdout)


async def _lines(stdout: ByteReceiveStream, server: ServerProcess) -> AsyncGenerator[bytes | None]:
    """Lines in linear time; None, as soon as that is clear, for one that is too long."""
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            chunk = await stdout.receive(CHUNK_BYTES)
        except anyio.EndOfStream:
            return
        server.count(len(chunk))
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            server.num_lines += 1
            if size + len(end) <= MAX_LINE_BYTES:
                yield b"".join([*parts, end])
            elif size <= MAX_LINE_BYTES:
                yield None
            parts, size = [], 0
        is_news = size <= MAX_LINE_BYTES < size + len(rest)
        size += len(rest)
        if size <= MAX_LINE_BYTES:
            parts.append(rest)
        elif is_news:
            parts.clear()
            yield None


def _message(line: bytes | None, server: ServerProcess) -> SessionMessage | None:
    """The message in a line, or None for what is no message."""
    if line is None:
        return _too_long(server)
    if line[:1] == b"{":
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            pass
        else:
            if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
                server.pending.discard(message.id)
            return SessionMessage(message)
    if line.strip():
        server.num_noise_lines += 1
        if len(server.noise) < TAIL_BYTES:
            server.noise += line[:TAIL_BYTES] + b"\n"
    return None


def _too_long(server: ServerProcess) -> SessionMessage | None:
    """The refusal that stands in for an overlong reply, when it is clear to which request."""
    if len(server.pending) != 1:
        return None
    problem = f"the reply is longer than {MAX_LINE_BYTES} bytes"
    error = ErrorData(code=TOO_LONG, message=problem)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=server.pending.pop(), error=error))


async def _write(
    server: ServerProcess,
    process: Process,
    messages: MemoryObjectReceiveStream[SessionMessage],
    session: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    """Send what the session says; a server that does not listen any more ends the session."""
    assert process.stdin is not None
    try:
        async with messages:
            async for each in messages:
                if isinstance(each.message, JSONRPCRequest):
                    server.pending.add(each.message.id)
                    server.num_lines = server.num_bytes = 0
                text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                await process.stdin.send(text.encode() + b"\n")
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        await session.aclose()


async def _listen(server: ServerProcess, process: Process) -> None:
    """Keep the end of what the server says on stderr."""
    assert process.stderr is not None
    with _broken_pipes():
        while True:
            server.stderr += await process.stderr.receive(CHUNK_BYTES)
            del server.stderr[:-TAIL_BYTES]


async def _drain(stdout: ByteReceiveStream) -> None:
    """Throw away the rest, so that a server that writes can see that its input has ended."""
    with _broken_pipes():
        while True:
            await stdout.receive(CHUNK_BYTES)


async def _end(process: Process, grace_s: float) -> None:
    """Close its input, wait, and kill what is left of it and of its process group."""
    assert process.stdin is not None
    with _broken_pipes():
        await process.stdin.aclose()
    if not await _has_ended(process, grace_s):
        _signal(process, signal.SIGTERM)
        await _has_ended(process, grace_s)
    _signal(process, signal.SIGKILL)
    await _has_ended(process, KILL_S)
    # Only this closes the pipes that a program which is not ours any more still holds, and nothing
    # public gives it; the SDK reaches for it in the same way.
    transport = getattr(getattr(process, "_process", None), "_transport", None)
    if transport is not None:
        with _broken_pipes():
            transport.close()


async def _has_ended(process: Process, within_s: float) -> bool:
    """Poll, because waiting for the process waits for all who hold its pipes too."""
    deadline = anyio.current_time() + within_s
    while process.returncode is None:
        if anyio.current_time() >= deadline:
            return False
        await anyio.sleep(POLL_S)
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal the group that the process leads; its number stays taken while a member lives."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def _broken_pipes() -> Iterator[None]:
    with contextlib.suppress(
        anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError
    ):
        yield


def _last_line(text: bytearray) -> str:
    lines = [line.strip() for line in text.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
