"""The depot as an MCP server: eight tools with real JSON schemas over one ``World``.

Knows nothing of tasks or of who calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from mcp.server import MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from agentsd_envs.depot.world import DepotError, World

Name = Annotated[str, Field(description="Name of the bin")]
Key = Annotated[str, Field(description="Key id, as borrow_key returns it")]
Count = Annotated[int, Field(ge=0, description="How much")]


def depot_server(world: World) -> MCPServer:
    """An MCP server whose tools act on ``world``; one per episode."""
    server = MCPServer("depot")
    _add_locks(server, world)
    _add_work(server, world)
    return server


def _add_locks(server: MCPServer, world: World) -> None:
    @server.tool()
    async def borrow_key(person: Annotated[str, Field(description="Name")]) -> CallToolResult:
        """Borrow the key of a person; one key at a time."""
        return _reply(lambda: world.borrow_key(person))

    @server.tool()
    async def return_key(key: Key) -> CallToolResult:
        """Give a key back, after its bins are closed."""
        return _reply(lambda: world.return_key(key))

    @server.tool()
    async def open_bin(name: Name, key: Key) -> CallToolResult:
        """Open a bin with its key."""
        return _reply(lambda: world.open_bin(name, key))

    @server.tool()
    async def close_bin(name: Name) -> CallToolResult:
        """Close an open bin."""
        return _reply(lambda: world.close_bin(name))


def _add_work(server: MCPServer, world: World) -> None:
    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def read_bin(name: Name) -> CallToolResult:
        """Read how much is in an open bin."""
        return _reply(lambda: world.read_bin(name))

    @server.tool()
    async def fill_bin(name: Name) -> CallToolResult:
        """Fill an open bin to the brim."""
        return _reply(lambda: world.fill_bin(name))

    @server.tool()
    async def take_out(name: Name, count: Count) -> CallToolResult:
        """Take some out of an open bin."""
        return _reply(lambda: world.take_out(name, count))

    @server.tool()
    async def log_count(name: Name, count: Count) -> CallToolResult:
        """Log how much is in a bin now."""
        return _reply(lambda: world.log_count(name, count))


def _reply(action: Callable[[], str]) -> CallToolResult:
    try:
        text, is_error = action(), False
    except DepotError as error:
        text, is_error = f"Error: {error}", True
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)
