"""Any MCP server as a source of tools: over stdio, over HTTP, or an object in this process.

A connection is entered and left by one task that it owns, because the SDK's cancel scopes must be
left by the task that entered them, while an episode may be opened and closed by different ones.
Knows nothing of tasks, episodes or how a program is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp_types import (
    CONNECTION_CLOSED,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ToolListChangedNotification,
)
from pydantic import TypeAdapter, ValidationError

from agentsd.errors import ConfigError, InfraError
from agentsd.tools.mcp_box import box_failure, launched
from agentsd.tools.mcp_contact import Contact, difference
from agentsd.tools.mcp_replies import may_be_unknown, reply_of, reply_of_error, spec_of
from agentsd.tools.mcp_stdio import MAX_LINE_BYTES, ServerProcess, process_streams
from agentsd.tools.mcp_targets import Http, Stdio, Target, check_target, expanded, label
from agentsd.tools.results import refused
from agentsd.types import ToolCall, ToolResult, ToolSpec

CONNECT_S = 20.0
"""Default for start, handshake and list of tools. The SDK waits up to 10 s for the answer of an
old server to a question that such a server does not know, at the first contact."""

CALL_S = 30.0
"""Default deadline of one call."""

STOP_S = 10.0
"""How long a connection may take to end; a program without a sandbox gets 6 s at most."""

HTTP_S = httpx2.Timeout(30.0, read=300.0)
"""A server may hold a response open; our own deadlines are shorter."""

MAX_PAGES = 100
"""Pages of a list of tools; a list without end would never let an episode begin."""

REPLY: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)


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

    Entering raises ``ConfigError`` for a target that cannot be used on this machine, and
    ``InfraError`` when the server does not come up within its deadline or, given the ``contact``
    of earlier connections, offers other tools than they found.
    """

    def __init__(
        self, target: Target, limits: Limits | None = None, contact: Contact | None = None
    ) -> None:
        self._target = target
        self._limits = limits or Limits()
        self._contact = contact or Contact()
        self._closing = asyncio.Event()
        self._ready = asyncio.Event()
        self._owner: asyncio.Task[None] | None = None
        self._client: Client | None = None
        self._specs: Sequence[ToolSpec] = ()
        self._server = ServerProcess()
        self._is_list_stale = False

    async def __aenter__(self) -> Sequence[McpTool]:
        assert not self._closing.is_set(), "a connection is single use"
        check_target(self._target)
        self._owner = asyncio.create_task(self._own())
        try:
            await _first_of(self._owner, self._ready)
            if not self._ready.is_set():
                raise self._failure(self._owner)
        except BaseException:
            await self._stop()
            raise
        return [McpTool(spec, self) for spec in self._specs]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    def is_usable(self) -> bool:
        """Whether the connection is open and, as far as can be seen, its server is there."""
        is_open = self._owner is not None and not self._owner.done() and self._client is not None
        return is_open and not self._server.has_ended() and not self._server.fault

    async def call(self, call: ToolCall) -> ToolResult:
        """Send one call. What the server answers is a value; ``InfraError`` when it cannot."""
        client = self._client
        if client is None:
            raise InfraError(f"MCP server {label(self._target)}: the connection is not open")
        is_listed = any(spec.name == call.name for spec in self._specs)
        # Not anyio's scope: that one waits for a sync tool of an in-process server to return.
        deadline = asyncio.timeout(self._limits.call_timeout_s)
        try:
            async with deadline:
                result = await _answer(client, call, is_listed=is_listed)
                if result.is_error and is_listed:
                    await self._refuse_changed_tools(client, result)
                return result
        except MCPError as error:
            raise self._blame(error) from error
        except (ValidationError, RuntimeError, OSError, anyio.ClosedResourceError) as error:
            if isinstance(error, InfraError):
                raise
            if not deadline.expired() or self._server.has_ended():
                raise self._blame(error) from error
            problem = f"{call.name} did not answer within {self._limits.call_timeout_s:g} s"
            return refused(call, problem, "timeout")

    async def _refuse_changed_tools(self, client: Client, result: ToolResult) -> None:
        """The policy is not at fault for a call that was right when the tools were offered."""
        if self._is_list_stale or may_be_unknown(result):
            self._is_list_stale = False
            problem = difference(self._specs, await _list_tools(client))
            if problem:
                raise InfraError(
                    f"MCP server {label(self._target)} changed its tools during the episode: "
                    f"{problem}"
                )

    async def _own(self) -> None:
        """Hold the connection: the only task that enters and leaves it."""
        with anyio.move_on_after(self._limits.connect_timeout_s) as scope:
            async with self._new_client() as client:
                self._specs = self._contact.learn(client, await _list_tools(client))
                self._client = client
                scope.deadline = math.inf
                self._ready.set()
                await self._closing.wait()

    def _new_client(self) -> Client:
        target = self._target
        if not isinstance(target, MCPServer):
            target = _streams(target, self._server)
        return Client(
            target, cache=None, mode=self._contact.mode, message_handler=self._on_notification
        )

    async def _on_notification(self, message: IncomingMessage) -> None:
        self._is_list_stale |= isinstance(message, ToolListChangedNotification)

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

    def _failure(self, owner: asyncio.Task[None]) -> ConfigError | InfraError:
        """Why the owner ended before the server was ready."""
        if isinstance(self._target, Stdio):
            refusal = box_failure(self._target, self._server.last_line())
            if refusal is not None:
                return refusal
        error = None if owner.cancelled() else owner.exception()
        if error is not None:
            return self._blame(error)
        problem = f"did not answer within {self._limits.connect_timeout_s:g} s"
        return InfraError(f"MCP server {label(self._target)} {problem}{self._server.last_words()}")

    def _blame(self, error: BaseException) -> ConfigError | InfraError:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, ConfigError):
            return error
        reason = self._server.fault or " ".join(str(error).split()) or type(error).__name__
        is_gone = isinstance(error, MCPError) and error.code == CONNECTION_CLOSED
        if is_gone and not self._ready.is_set() and not self._server.fault:
            reason = "it ended before it spoke MCP"
        return InfraError(f"MCP server {label(self._target)}: {reason}{self._server.last_words()}")


@dataclass(frozen=True, slots=True)
class McpTool:
    """One tool of a connected server. Implements ``Tool``."""

    spec: ToolSpec
    connection: McpConnection

    async def run(self, call: ToolCall) -> ToolResult:
        """Send the call to the server."""
        return await self.connection.call(call)


async def probe(target: Target, limits: Limits | None = None) -> Sequence[ToolSpec]:
    """Start the server once, before anything depends on it, and list its tools.

    Raises ``ConfigError`` in one line: a server that does not start now will not start later.
    """
    try:
        async with McpConnection(target, limits) as tools:
            return [tool.spec for tool in tools]
    except InfraError as error:
        raise ConfigError(str(error)) from error


@contextlib.asynccontextmanager
async def _streams(target: Stdio | Http, server: ServerProcess) -> AsyncGenerator[Any]:
    """The two streams that a client of the SDK speaks through."""
    if isinstance(target, Stdio):
        async with launched(target) as launch, process_streams(launch, server) as streams:
            yield streams
        return
    headers = expanded(target.headers)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=HTTP_S) as http,
        streamable_http_client(
            target.url, http_client=http, max_sse_event_size=MAX_LINE_BYTES
        ) as streams,
    ):
        yield streams


async def _answer(client: Client, call: ToolCall, *, is_listed: bool) -> ToolResult:
    """What the server says to a call. Raises ``MCPError`` when the error is not the call's."""
    parameters = CallToolRequestParams(name=call.name, arguments=dict(call.arguments or {}))
    try:
        # Not Client.call_tool: it throws away a reply that breaks the tool's own output schema.
        reply = await client.session.send_request(CallToolRequest(params=parameters), REPLY)
    except MCPError as error:
        refusal = reply_of_error(call, error, is_listed=is_listed)
        if refusal is None:
            raise
        return refusal
    if isinstance(reply, InputRequiredResult):
        return refused(call, f"{call.name} asks for input, which nobody can give", "tool")
    return reply_of(call, reply, is_listed=is_listed)


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
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        specs += [spec_of(listed) for listed in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return specs
    raise InfraError(f"its list of tools has more than {MAX_PAGES} pages")
