"""Servers that are started before an episode asks for one; each serves one episode, once.

Isolation is that of a fresh server, because it is one. Knows nothing of how a server is started.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import Tool
from agentsd.tools.mcp import McpConnection, McpTool


class WarmServers:
    """Up to ``size`` open connections that nobody has used; made by ``warm_servers``."""

    def __init__(self, make: Callable[[], McpConnection], size: int) -> None:
        self._make = make
        self._ready: asyncio.Queue[tuple[McpConnection, Sequence[McpTool]]] = asyncio.Queue()
        self._room = asyncio.Semaphore(size)
        self._num_failed = 0

    @asynccontextmanager
    async def source(self) -> AsyncGenerator[Sequence[Tool]]:
        """The tools of one episode, from a server that waits or, if none does, a new one.

        Raises what ``McpConnection`` raises.
        """
        connection, tools = await self._take()
        try:
            yield tools
        finally:
            await connection.__aexit__(None, None, None)

    def num_ready(self) -> int:
        """How many servers wait for an episode."""
        return self._ready.qsize()

    async def _take(self) -> tuple[McpConnection, Sequence[McpTool]]:
        while self._num_failed:  # an episode asks again: what failed may be tried again
            self._num_failed -= 1
            self._room.release()
        while not self._ready.empty():
            connection, tools = self._ready.get_nowait()
            self._room.release()
            if connection.is_usable():
                return connection, tools
            await connection.__aexit__(None, None, None)
        connection = self._make()
        return connection, await connection.__aenter__()

    async def _fill(self) -> None:
        """Start a server for every place that is free, side by side."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._room.acquire()
                group.create_task(self._start_one())

    async def _start_one(self) -> None:
        connection = self._make()
        try:
            tools = await connection.__aenter__()
        except (InfraError, ConfigError):
            # The next episode opens one itself and tells; trying on here would tell nobody.
            self._num_failed += 1
        else:
            self._ready.put_nowait((connection, tools))

    async def _close(self) -> None:
        async with asyncio.TaskGroup() as group:
            while not self._ready.empty():
                connection, _ = self._ready.get_nowait()
                group.create_task(connection.__aexit__(None, None, None))


@asynccontextmanager
async def warm_servers(make: Callable[[], McpConnection], size: int) -> AsyncGenerator[WarmServers]:
    """Keep ``size`` unused servers ready until the context ends; none of them is left then."""
    servers = WarmServers(make, size)
    filler = asyncio.create_task(servers._fill())
    try:
        yield servers
    finally:
        filler.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await filler
        finally:
            await servers._close()
