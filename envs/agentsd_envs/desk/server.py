"""The desk as an MCP server: eight tools with real JSON schemas over one ``World``.

Knows nothing of tasks or of who calls. Run as a module it serves an empty desk over stdio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from mcp.server import MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from agentsd_envs.desk.world import FIRST_HOUR, LAST_HOUR, DeskError, World

Day = Annotated[Literal["mon", "tue", "wed", "thu", "fri"], Field(description="Day of the week")]
Hour = Annotated[int, Field(ge=FIRST_HOUR, le=LAST_HOUR, description="Full hour, 24-hour clock")]
Note = Annotated[str, Field(description="Name of the note")]
Text = Annotated[str, Field(description="The text")]
Contact = Annotated[str, Field(description="Contact id, as find_contact returns it")]


def desk_server(world: World) -> MCPServer:
    """An MCP server whose tools act on ``world``; one per episode."""
    server = MCPServer("desk")
    _add_reading_tools(server, world)
    _add_writing_tools(server, world)
    return server


def _add_reading_tools(server: MCPServer, world: World) -> None:
    reads = ToolAnnotations(read_only_hint=True)

    @server.tool(annotations=reads)
    async def list_notes() -> CallToolResult:
        """List the names of all notes."""
        return _reply(world.list_notes)

    @server.tool(annotations=reads)
    async def read_note(name: Note) -> CallToolResult:
        """Read a note."""
        return _reply(lambda: world.read_note(name))

    @server.tool(annotations=reads)
    async def find_contact(person: Annotated[str, Field(description="Name")]) -> CallToolResult:
        """Find the contact id of a person."""
        return _reply(lambda: world.find_contact(person))

    @server.tool(annotations=reads)
    async def list_events(day: Day) -> CallToolResult:
        """List the events of a day."""
        return _reply(lambda: world.list_events(day))

    @server.tool(annotations=reads)
    async def add(a: int, b: int) -> CallToolResult:
        """Add two integers."""
        return _reply(lambda: world.add(a, b))


def _add_writing_tools(server: MCPServer, world: World) -> None:
    @server.tool()
    async def write_note(name: Note, text: Text) -> CallToolResult:
        """Write a note; replaces a note of the same name."""
        return _reply(lambda: world.write_note(name, text))

    @server.tool()
    async def send_message(to: Contact, text: Text) -> CallToolResult:
        """Send a message to a contact."""
        return _reply(lambda: world.send_message(to, text))

    @server.tool()
    async def add_event(day: Day, hour: Hour, title: str) -> CallToolResult:
        """Put an event in the calendar."""
        return _reply(lambda: world.add_event(day, hour, title))


def _reply(action: Callable[[], str]) -> CallToolResult:
    try:
        text, is_error = action(), False
    except DeskError as error:
        text, is_error = f"Error: {error}", True
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=is_error)


if __name__ == "__main__":
    desk_server(World(notes={}, contacts={})).run("stdio")
