"""Any MCP server as a source of tools: over stdio, over HTTP, or an object in this process.

A connection is entered and left by one task that it owns, because the SDK's cancel scopes must be
left by the task that entered them, while an episode may be opened and closed by different ones.
Knows nothing of tasks, episodes or sandboxes.
"""

from __future__ import annotations

import asyncio
import math
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast
from urllib.parse import urlsplit

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import get_default_environment, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from pydantic import ValidationError

from agentsd.errors import ConfigError, InfraError
from agentsd.tools.mcp_replies import reply_of, reply_of_error, spec_of
from agentsd.tools.results import refused
from agentsd.types import ToolCall, ToolResult, ToolSpec

CONNECT_S = 20.0
"""Default for start, handshake and list of tools. The SDK waits up to 10 s for the answer of an
old server to a question that such a server does not know."""

CALL_S = 30.0
"""Default deadline of one call."""

STOP_S = 12.0
"""How long a connection may take to end; the SDK's own escalation to SIGKILL takes up to 7 s."""

MAX_EVENT_BYTES = 64 * 2**20
"""Largest reply over HTTP; larger than any sensible result, so that the env can cut it."""

STDERR_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Stdio:
    """A server that is started for the connection. It inherits no secrets: see ``env``."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to PATH, HOME, USER, LOGNAME, SHELL and TERM, the only variables it inherits."""
    cwd: str | None = None

    def __str__(self) -> str:
        return shlex.join(self.command)


@dataclass(frozen=True, slots=True)
class Http:
    """A server that runs already and speaks streamable HTTP."""

    url: str

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]  # credentials and the query stay out of messages
        return f"{parts.scheme}://{host}{parts.path}"


Target = Stdio | Http | MCPServer


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a server may take. Raises ``ConfigError`` unless both are positive."""

    connect_timeout_s: float = CONNECT_S
    """Start, handshake and list of tools."""
    call_timeout_s: float = CALL_S

    def __post_init__(self) -> None:
        for name in ("connect_timeout_s", "call_timeout_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")


class McpConnection:
    """The tools of one server, from ``async with`` to its end. Single use.

    Entering raises ``ConfigError`` when the command does not exist and ``InfraError`` when the
    server does not come up within its deadline.
    """

    def __init__(self, target: Target, limits: Limits | None = None) -> None:
        self._target = target
        self._limits = limits or Limits()
        self._label = target.name if isinstance(target, MCPServer) else str(target)
        self._closing = asyncio.Event()
        self._ready = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._specs: Sequence[ToolSpec] = ()
        self._stderr: TextIO | None = None

    async def __aenter__(self) -> Sequence[McpTool]:
        assert not self._closing.is_set(), "a connection is single use"
        if isinstance(self._target, Stdio):
            check_command(self._target)
        self._stderr = cast(TextIO, tempfile.TemporaryFile("a+"))  # noqa: SIM115 - see _stop
        self._owner = asyncio.create_task(self._own())
        try:
            await _first_of(self._owner, self._ready)
            if not self._ready.is_set():
                raise InfraError(self._failure(self._owner))
        finally:
            if not self._ready.is_set():
                await self._stop()
        return [McpTool(spec, self) for spec in self._specs]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def call(self, call: ToolCall) -> ToolResult:
        """Send one call. What the server answers is a value; ``InfraError`` when it cannot."""
        if self._client is None:
            raise InfraError(f"MCP server {self._label}: the connection is not open")
        is_listed = any(spec.name == call.name for spec in self._specs)
        # Not anyio's scope: that one waits for a sync tool of an in-process server to return.
        deadline = asyncio.timeout(self._limits.call_timeout_s)
        try:
            async with deadline:
                reply = await self._client.call_tool(call.name, dict(call.arguments or {}))
        except MCPError as error:
            refusal = reply_of_error(call, error, is_listed=is_listed)
            if refusal is None:
                raise InfraError(self._blame(error)) from error
            return refusal
        except (ValidationError, RuntimeError, OSError, anyio.ClosedResourceError) as error:
            if not deadline.expired():
                raise InfraError(self._blame(error)) from error
            problem = f"{call.name} did not answer within {self._limits.call_timeout_s:g} s"
            return refused(call, problem, "timeout")
        return reply_of(call, reply, is_listed=is_listed)

    async def _own(self) -> None:
        """Hold the connection: the only task that enters and leaves it."""
        with anyio.move_on_after(self._limits.connect_timeout_s) as scope:
            async with self._new_client() as client:
                self._specs = await _list_tools(client)
                self._client = client
                scope.deadline = math.inf
                self._ready.set()
                await self._closing.wait()

    def _new_client(self) -> Client:
        match self._target:
            case Stdio(command, env, cwd):
                parameters = StdioServerParameters(
                    command=command[0], args=list(command[1:]), env=dict(env), cwd=cwd
                )
                return Client(stdio_client(parameters, cast(TextIO, self._stderr)), cache=None)
            case Http(url):
                transport = streamable_http_client(url, max_sse_event_size=MAX_EVENT_BYTES)
                return Client(transport, cache=None)
            case server:
                return Client(server, cache=None)

    async def _stop(self) -> None:
        """Let the owner leave, within ``STOP_S``; then abandon what will not end."""
        owner, self._owner, self._client = self._owner, None, None
        if owner is None:
            return
        self._closing.set()
        if not self._ready.is_set():
            owner.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({owner}, timeout=STOP_S)
        if owner.done() and not owner.cancelled():
            owner.exception()  # seen: a server that ends badly has answered all calls by now
        owner.cancel()
        if self._stderr is not None:
            self._stderr.close()

    def _failure(self, owner: asyncio.Task[None]) -> str:
        """Why the owner ended before the server was ready."""
        error = None if owner.cancelled() else owner.exception()
        if error is not None:
            return self._blame(error)
        deadline_s = self._limits.connect_timeout_s
        return (
            f"MCP server {self._label} did not answer within {deadline_s:g} s{self._last_words()}"
        )

    def _blame(self, error: BaseException) -> str:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"MCP server {self._label}: {reason}{self._last_words()}"

    def _last_words(self) -> str:
        """The last line that the server wrote to its standard error."""
        if self._stderr is None or self._stderr.closed:
            return ""
        size = os.fstat(self._stderr.fileno()).st_size
        start = max(0, size - STDERR_TAIL_BYTES)
        tail = os.pread(self._stderr.fileno(), STDERR_TAIL_BYTES, start).decode(errors="replace")
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        return f"; it said: {lines[-1]}" if lines else ""


@dataclass(frozen=True, slots=True)
class McpTool:
    """One tool of a connected server. Implements ``Tool``."""

    spec: ToolSpec
    connection: McpConnection

    async def run(self, call: ToolCall) -> ToolResult:
        """Send the call to the server."""
        return await self.connection.call(call)


def check_command(target: Stdio) -> None:
    """Refuse a command that cannot be started. Raises ``ConfigError`` in one line."""
    if not target.command:
        raise ConfigError("an MCP server command is a list of words, got an empty one")
    program = target.command[0]
    if target.cwd is not None and not Path(target.cwd).is_dir():
        raise ConfigError(f"MCP server {target}: the working directory {target.cwd} does not exist")
    path = (get_default_environment() | dict(target.env)).get("PATH")
    is_path = os.sep in program
    found = shutil.which(Path(target.cwd or ".", program) if is_path else program, path=path)
    if found is None:
        where = "it is not an executable file" if is_path else "it is not on the PATH"
        raise ConfigError(f"MCP server command {program!r} was not found: {where}")


async def probe(target: Target, limits: Limits | None = None) -> Sequence[ToolSpec]:
    """Start the server once, before anything depends on it, and list its tools.

    Raises ``ConfigError`` in one line: a server that does not start now will not start later.
    """
    try:
        async with McpConnection(target, limits) as tools:
            return [tool.spec for tool in tools]
    except InfraError as error:
        raise ConfigError(str(error)) from error


async def _first_of(owner: asyncio.Task[None], ready: asyncio.Event) -> None:
    """Wait until the server is ready or its owner has ended."""
    waiter = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({owner, waiter}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()


async def _list_tools(client: Client) -> list[ToolSpec]:
    specs: list[ToolSpec] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        specs += [spec_of(listed) for listed in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return specs
