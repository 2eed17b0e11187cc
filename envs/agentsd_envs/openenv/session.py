"""One episode on an OpenEnv server: a WebSocket, one request at a time, every wait bounded.

Episodes need ``/ws``: the server makes a fresh environment for every HTTP ``/reset`` and ``/step``,
so those two cannot hold an episode. The protocol is that of ``openenv`` 0.10
(``openenv/core/env_server/http_server.py``). Knows nothing of tools or tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from agentsd.errors import ConfigError, InfraError

MAX_REPLY_BYTES = 64 * 2**20
"""Larger than any sensible reply, so that the environment can cut it."""

CLOSE_S = 5.0

DEAD_CODES = frozenset({"CAPACITY_REACHED", "FACTORY_ERROR", "SESSION_ERROR"})
"""The server has no environment for this episode: no fault of the call."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is and how long it may take. Raises ``ConfigError``."""

    url: str
    connect_timeout_s: float
    """Connection, reset and list of tools, each."""
    call_timeout_s: float

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"openenv: url must be http://... or https://..., got {self.url!r}")

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]  # credentials and the query stay out of messages
        return f"OpenEnv server {parts.scheme}://{host}{parts.path}"

    @property
    def socket_url(self) -> str:
        """The address of the WebSocket."""
        return "ws" + self.url.removeprefix("http").rstrip("/") + "/ws"


class Reply(BaseModel):
    """What the server sends for every request."""

    type: Literal["observation", "state", "error", "mcp"]
    data: dict[str, Any]


class Observed(BaseModel):
    """The data of an ``observation``."""

    observation: dict[str, Any]
    reward: float | None = None
    done: bool = False


class RpcError(BaseModel):
    """Why a JSON-RPC request failed."""

    code: int
    message: str


class RpcReply(BaseModel):
    """The data of an ``mcp`` reply."""

    model_config = ConfigDict(extra="ignore")

    result: Any = None
    error: RpcError | None = None


class Refused(Exception):
    """The server answered a request with an error."""

    def __init__(self, message: str, code: str | int) -> None:
        super().__init__(message)
        self.code = code


class Session:
    """The requests of one episode; made by ``session``.

    Each raises ``Refused``, ``TimeoutError`` at its deadline, and ``InfraError`` when the
    connection or the server failed.
    """

    def __init__(self, socket: ClientConnection, server: Server) -> None:
        self._socket = socket
        self._server = server
        self._num_due = 0

    async def reset(self, options: Mapping[str, Any]) -> Observed:
        """Start the episode; ``options`` are the environment's own, such as ``seed``."""
        timeout_s = self._server.connect_timeout_s
        return self._observed(await self._ask("reset", options, timeout_s))

    async def step(self, action: Mapping[str, Any]) -> Observed:
        """Act."""
        return self._observed(await self._ask("step", action, self._server.call_timeout_s))

    async def state(self) -> Mapping[str, Any]:
        """The environment's own account of its state."""
        return (await self._ask("state", None, self._server.call_timeout_s)).data

    async def rpc(self, method: str, params: Mapping[str, Any]) -> Any:
        """The result of a JSON-RPC request to the environment's MCP server."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}
        reply = await self._ask("mcp", request, self._server.call_timeout_s)
        try:
            answer = RpcReply.model_validate(reply.data)
        except ValidationError as error:
            raise InfraError(f"{self._server}: not a JSON-RPC reply: {reply.data}") from error
        if answer.error is not None:
            raise Refused(answer.error.message, answer.error.code)
        return answer.result

    async def _ask(self, kind: str, data: Mapping[str, Any] | None, timeout_s: float) -> Reply:
        """Send one request and give its reply. The server answers in order, without ids."""
        message = {"type": kind} if data is None else {"type": kind, "data": dict(data)}
        deadline = asyncio.timeout(timeout_s)
        try:
            async with deadline:
                # What a server said before it hung up, such as that it is full, is still read.
                with contextlib.suppress(ConnectionClosed):
                    await self._socket.send(json.dumps(message))
                self._num_due += 1
                text = await self._last_due()
        except (OSError, WebSocketException) as error:
            if deadline.expired():
                raise TimeoutError from error
            raise InfraError(f"{self._server}: the connection is lost: {error}") from error
        return self._parsed(text)

    async def _last_due(self) -> str | bytes:
        """The newest reply that is due; those to requests that were given up come before it."""
        while True:
            text = await self._socket.recv()
            self._num_due -= 1
            if not self._num_due:
                return text

    def _parsed(self, text: str | bytes) -> Reply:
        try:
            reply = Reply.model_validate(json.loads(text))
        except (json.JSONDecodeError, ValidationError) as error:
            raise InfraError(f"{self._server}: not an OpenEnv reply: {text[:200]!r}") from error
        if reply.type == "error":
            code = str(reply.data.get("code", ""))
            message = str(reply.data.get("message", "it gave no reason"))
            if errors := reply.data.get("errors"):
                message = f"{message}: {json.dumps(errors)}"
            if code in DEAD_CODES:
                raise InfraError(f"{self._server}: {code}: {message}")
            raise Refused(message, code)
        return reply

    def _observed(self, reply: Reply) -> Observed:
        try:
            return Observed.model_validate(reply.data)
        except ValidationError as error:
            raise InfraError(f"{self._server}: not an observation: {reply.data}") from error


@contextlib.asynccontextmanager
async def session(server: Server) -> AsyncIterator[Session]:
    """A connection with an environment of its own. Raises ``InfraError``."""
    try:
        socket = await connect(
            server.socket_url,
            open_timeout=server.connect_timeout_s,
            close_timeout=CLOSE_S,
            max_size=MAX_REPLY_BYTES,
        )
    except (OSError, TimeoutError, WebSocketException) as error:
        raise InfraError(f"{server}: cannot connect: {error or 'no answer'}") from error
    try:
        yield Session(socket, server)
    finally:
        # Whatever the episode was doing, the server learns that its environment is free.
        with contextlib.suppress(OSError, TimeoutError, WebSocketException):
            async with asyncio.timeout(CLOSE_S):
                await socket.send(json.dumps({"type": "close"}))
        await socket.close()


async def action_schema(server: Server) -> Mapping[str, Any]:
    """The JSON Schema of an action, from ``GET /schema``. Raises ``InfraError``."""
    try:
        async with httpx.AsyncClient(timeout=server.connect_timeout_s) as client:
            response = await client.get(server.url.rstrip("/") + "/schema")
        response.raise_for_status()
        schema = response.json()["action"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise InfraError(
            f"{server}: GET /schema gave no schema of an action: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(schema, dict):
        raise InfraError(f"{server}: the schema of an action is not an object")
    return schema
