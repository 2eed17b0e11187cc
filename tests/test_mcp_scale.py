"""Many servers at once: all answer, each is alone, and none is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from mcp.server import MCPServer

from agentsd.sandbox.bwrap import BwrapBackend
from agentsd.tools.mcp import Limits, McpConnection
from agentsd.tools.mcp_contact import Contact
from agentsd.tools.mcp_targets import Stdio
from agentsd.types import ToolCall

LAB = Path(__file__).with_name("mcp_lab") / "server.py"
PATIENT = Limits(connect_timeout_s=300.0, call_timeout_s=300.0)


def counter() -> MCPServer:
    """A server in this process with a count of its own."""
    server = MCPServer("counter")
    counted: list[int] = []

    @server.tool()
    def count() -> int:
        """How often this was called."""
        counted.append(1)
        return len(counted)

    return server


async def answers(connection: McpConnection, calls: Sequence[ToolCall]) -> list[str]:
    """What one episode with these calls gets."""
    async with connection as tools:
        by_name = {tool.spec.name: tool for tool in tools}
        return [(await by_name[call.name].run(call)).content for call in calls]


@pytest.mark.anyio
async def test_sixty_four_servers_in_this_process_count_for_themselves():
    calls = [ToolCall("c", "count", "", {})] * 10
    async with asyncio.timeout(120):
        got = await asyncio.gather(
            *(answers(McpConnection(counter(), PATIENT), calls) for _ in range(64))
        )
    assert got == [[str(number) for number in range(1, 11)]] * 64


@pytest.mark.anyio
@pytest.mark.slow
async def test_thirty_two_boxed_servers_at_once_see_only_their_own_folder():
    found = await BwrapBackend().probe()
    if not found.works:
        pytest.skip(f"bwrap does not isolate here: {found.detail}; {found.fix}")
    python = "/usr/bin/python3"
    contact = Contact()
    together = asyncio.Barrier(32)

    async def episode(number: int) -> str:
        target = Stdio([python, str(LAB), "scale"])
        async with McpConnection(target, PATIENT, contact) as tools:
            by_name = {tool.spec.name: tool for tool in tools}
            await together.wait()  # all 32 are up
            await by_name["write"].run(ToolCall("c", "write", "", {"path": f"/work/{number}"}))
            await together.wait()  # all 32 have written
            return (await by_name["look"].run(ToolCall("c", "look", "", {"path": "/work"}))).content

    async with asyncio.timeout(300):
        got = await asyncio.gather(*(episode(number) for number in range(32)))
    assert got == [str(number) for number in range(32)]
