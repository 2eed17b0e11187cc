"""Servers that are started ahead: each serves one episode, none is left, failures are told."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from mcp.server import MCPServer

from agentsd.errors import InfraError
from agentsd.tools.mcp import Limits, McpConnection
from agentsd.tools.mcp_pool import WarmServers, warm_servers
from agentsd.tools.mcp_targets import Stdio
from agentsd.types import ToolCall


class Shop:
    """Makes connections to servers in this process, and counts them."""

    def __init__(self) -> None:
        self.numbers = itertools.count()
        self.connections: list[McpConnection] = []

    def __call__(self) -> McpConnection:
        number = next(self.numbers)
        server = MCPServer(f"server {number}")

        @server.tool()
        def which() -> str:
            """The number of the server."""
            return str(number)

        self.connections.append(McpConnection(server))
        return self.connections[-1]


async def number_of(servers: WarmServers) -> str:
    """Which server one episode got."""
    async with servers.source() as tools:
        return (await tools[0].run(ToolCall("c", "which", "", {}))).content


async def filled(servers: WarmServers, count: int) -> None:
    async with asyncio.timeout(10):
        while servers.num_ready() != count:
            await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_every_episode_gets_a_server_that_nobody_used():
    shop = Shop()
    async with warm_servers(shop, 3) as servers:
        got = await asyncio.gather(*(number_of(servers) for _ in range(10)))
        await filled(servers, 3)
        got += [await number_of(servers) for _ in range(4)]
    assert len(set(got)) == len(got) == 14


@pytest.mark.anyio
async def test_no_more_servers_wait_than_were_asked_for():
    shop = Shop()
    async with warm_servers(shop, 2) as servers:
        await filled(servers, 2)
        await asyncio.sleep(0.1)
        assert len(shop.connections) == 2
        await number_of(servers)
        await filled(servers, 2)
        assert len(shop.connections) == 3


@pytest.mark.anyio
async def test_servers_that_nobody_took_end_with_the_pool():
    shop = Shop()
    async with warm_servers(shop, 2) as servers:
        await filled(servers, 2)
        assert all(connection.is_usable() for connection in shop.connections)
    assert not any(connection.is_usable() for connection in shop.connections)


@pytest.mark.anyio
async def test_a_server_that_died_while_it_waited_is_not_handed_out():
    shop = Shop()
    async with warm_servers(shop, 1) as servers:
        await filled(servers, 1)
        await shop.connections[0].__aexit__(None, None, None)
        assert await number_of(servers) == "1"


@pytest.mark.anyio
async def test_a_server_that_does_not_start_is_told_to_the_episode_and_not_tried_forever():
    made: list[McpConnection] = []

    def make() -> McpConnection:
        made.append(McpConnection(Stdio(["/bin/false"], sandbox="none"), Limits(10, 10)))
        return made[-1]

    async with warm_servers(make, 2) as servers:
        while len(made) < 2:
            await asyncio.sleep(0.01)
        with pytest.raises(InfraError, match="it ended before it spoke MCP"):
            async with servers.source():
                pass
        await asyncio.sleep(0.3)
    assert len(made) <= 5, "two at first, one for the episode, and two more after it asked"


@pytest.mark.anyio
async def test_a_pool_that_is_cancelled_while_it_fills_ends_what_it_started():
    def make() -> McpConnection:
        return McpConnection(Stdio(["/bin/sleep", "300"], sandbox="none"))

    async def hold() -> None:
        async with warm_servers(make, 2):
            await asyncio.sleep(300)

    start = time.monotonic()
    task = asyncio.create_task(hold())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - start < 20
