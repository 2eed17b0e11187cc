"""MCP servers as tools: real servers over stdio, over HTTP and in this process, also bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent, ToolAnnotations

from agentsd.errors import ConfigError, InfraError
from agentsd.tools.env import ToolEnv
from agentsd.tools.mcp import Limits, McpConnection, McpTool, probe
from agentsd.tools.mcp_replies import reply_of
from agentsd.tools.mcp_targets import Http, Stdio, Target
from agentsd.types import ToolCall, ToolResult

SERVER = """
import os, sys, time

with open(sys.argv[1], "w") as pid_file:
    pid_file.write(str(os.getpid()))
how = sys.argv[2]
if how == "silent":
    time.sleep(600)
if how == "broken":
    sys.exit("no configuration found")

from mcp.server import MCPServer

server = MCPServer("script")

@server.tool()
def add(a: int, b: int) -> int:
    "Add two integers."
    return a + b

@server.tool()
def variables() -> list[str]:
    "The names of the environment variables, and the working directory."
    return [*os.environ, os.getcwd()]

@server.tool()
def die() -> str:
    "End the process in the middle of the call."
    print("out of memory", file=sys.stderr, flush=True)
    os._exit(3)

server.run()
"""

QUICK = Limits(connect_timeout_s=15.0, call_timeout_s=0.5)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "server.py"
    path.write_text(SERVER)
    return path


def stdio(script: Path, how: str = "well", env: dict[str, str] | None = None) -> Stdio:
    command = [sys.executable, str(script), f"{script}.pid", how]
    return Stdio(command, env or {}, sandbox="none")


async def assert_ended(script: Path) -> None:
    """The process that the server script recorded is gone, not even a zombie."""
    pid = int(Path(f"{script}.pid").read_text())
    async with asyncio.timeout(5):
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                await asyncio.sleep(0.02)


def library() -> MCPServer:
    """A server in this process, with well-behaved and misbehaving tools."""
    server = MCPServer("library")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def count(shelf: str) -> int:
        """Count the books."""
        return len(shelf)

    @server.tool()
    def lend(title: str) -> str:
        """Lend a book."""
        raise ToolError(f"{title} is out")

    @server.tool()
    def block() -> str:
        """Block a thread."""
        time.sleep(2)
        return "late"

    @server.tool()
    async def sleep() -> str:
        """Sleep."""
        await asyncio.sleep(60)
        return "late"

    @server.tool()
    def print_all(size: int) -> str:
        """A long text."""
        return "é" * size

    return server


async def call(tools: list[McpTool] | Any, name: str, **arguments: Any) -> ToolResult:
    tool = next(each for each in tools if each.spec.name == name)
    return await tool.run(ToolCall("c1", name, "", arguments))


@contextlib.contextmanager
def served(
    server: MCPServer, on_token: Callable[[str], object] = lambda _: None
) -> Iterator[tuple[str, uvicorn.Server]]:
    """The server over streamable HTTP, in a thread of its own; tells who is asking."""
    inner = server.streamable_http_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            on_token(dict(scope["headers"]).get(b"authorization", b"").decode())
        await inner(scope, receive, send)

    config = uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1)
    http = uvicorn.Server(config)
    thread = threading.Thread(target=http.run)
    thread.start()
    try:
        while not http.started:
            time.sleep(0.01)
        port = http.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/mcp", http
    finally:
        http.should_exit = True
        thread.join(timeout=10)


@contextlib.asynccontextmanager
async def silent_port() -> AsyncIterator[str]:
    """An HTTP address that takes connections and never answers."""
    done = asyncio.Event()

    async def ignore(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    listener = await asyncio.start_server(ignore, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/mcp"
        done.set()


# --- what every kind of server does ------------------------------------------------------------


@pytest.mark.anyio
async def test_a_command_serves_its_tools_and_leaves_no_process(script: Path):
    async with McpConnection(stdio(script)) as tools:
        assert [tool.spec.name for tool in tools] == ["add", "variables", "die"]
        assert tools[0].spec.input_schema["required"] == ["a", "b"]
        result = await call(tools, "add", a=2, b=3)
    assert (result.content, result.structured, result.is_error) == ("5", {"result": 5}, False)
    await assert_ended(script)


@pytest.mark.anyio
async def test_a_url_serves_its_tools():
    with served(library()) as (url, _):
        async with McpConnection(Http(url), QUICK) as tools:
            assert (await call(tools, "count", shelf="abc")).content == "3"
            assert (await call(tools, "sleep")).error_class == "timeout"
            assert (await call(tools, "count", shelf="ab")).content == "2"


@pytest.mark.anyio
async def test_headers_reach_a_url_with_their_variables_and_stay_out_of_messages(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("LIBRARY_TOKEN", "s3cret")
    seen: list[str] = []
    headers = {"Authorization": "Bearer ${LIBRARY_TOKEN}"}
    with served(library(), seen.append) as (url, _):
        async with McpConnection(Http(url, headers), QUICK) as tools:
            assert (await call(tools, "count", shelf="abc")).content == "3"
    assert set(seen) == {"Bearer s3cret"}
    with pytest.raises(ConfigError) as caught:
        await probe(Http(url, headers), QUICK)
    assert "s3cret" not in str(caught.value)


@pytest.mark.anyio
async def test_an_object_in_this_process_serves_its_tools():
    async with McpConnection(library()) as tools:
        by_name = {tool.spec.name: tool.spec for tool in tools}
        assert by_name["count"].read_only
        assert not by_name["lend"].read_only
        assert by_name["count"].description == "Count the books."
        assert (await call(tools, "count", shelf="abc")).content == "3"


@pytest.mark.anyio
async def test_a_tool_that_says_no_is_a_value():
    async with McpConnection(library()) as tools:
        result = await call(tools, "lend", title="Emma")
    assert (result.is_error, result.error_class) == (True, "tool")
    assert result.content.endswith("Emma is out")


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["sleep", "block"])
async def test_a_tool_that_hangs_is_a_timeout_and_the_next_call_works(name: str):
    async with asyncio.timeout(10), McpConnection(library(), QUICK) as tools:
        start = time.perf_counter()
        result = await call(tools, name)
        assert time.perf_counter() - start < 1.5
        assert (result.is_error, result.error_class) == (True, "timeout")
        assert result.content == f"Error: {name} did not answer within 0.5 s"
        assert (await call(tools, "count", shelf="abc")).content == "3"


@pytest.mark.anyio
async def test_five_megabytes_over_http_are_cut_at_a_character():
    with served(library()) as (url, _):
        env = ToolEnv(McpConnection(Http(url)), (), max_result_bytes=1001)
        await env.open()
        result = await env.call(ToolCall("c1", "print_all", "", {"size": 2_500_000}))
        await env.close()
    assert len(result.content.encode()) <= 1001
    assert result.content.endswith(f"é\n[{result.truncated_bytes} bytes cut]")
    kept = result.content.partition("\n")[0]
    assert len(kept.encode()) + result.truncated_bytes == 5_000_000
    assert result.structured is None


@pytest.mark.anyio
async def test_an_unknown_tool_reads_the_same_from_python_and_typescript_servers():
    async with McpConnection(library()) as tools:
        unknown = ToolCall("c1", "burn", "", {})
        from_python = await tools[0].connection.call(unknown)
    text = TextContent(text="MCP error -32602: Tool burn not found")
    reply = CallToolResult(content=[text], is_error=True)
    from_typescript = reply_of(unknown, reply, is_listed=False)
    assert from_python == from_typescript
    assert from_python.content == "Error: unknown tool burn"
    assert from_python.error_class == "policy"


# --- servers that fail ---------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_server_that_dies_in_a_call_voids_the_episode_with_its_last_words(script: Path):
    async with asyncio.timeout(15), McpConnection(stdio(script)) as tools:
        with pytest.raises(InfraError, match="Connection closed; it said: out of memory"):
            await call(tools, "die")
        with pytest.raises(InfraError, match="Connection closed"):
            await call(tools, "add", a=1, b=2)
    await assert_ended(script)


@pytest.mark.anyio
async def test_a_command_that_never_answers_is_given_up_and_ended(script: Path):
    start = time.perf_counter()
    async with asyncio.timeout(15):
        with pytest.raises(InfraError, match=r"did not answer within 0\.5 s"):
            async with McpConnection(stdio(script, "silent"), Limits(0.5)):
                pass
    assert time.perf_counter() - start < 5
    await assert_ended(script)


@pytest.mark.anyio
async def test_a_url_that_never_answers_is_given_up():
    async with asyncio.timeout(10), silent_port() as url:
        with pytest.raises(ConfigError, match=r"did not answer within 0\.3 s"):
            await probe(Http(url), Limits(0.3))


@pytest.mark.anyio
async def test_a_url_that_goes_away_voids_the_episode():
    with served(library()) as (url, http):
        async with asyncio.timeout(15), McpConnection(Http(url)) as tools:
            assert (await call(tools, "count", shelf="abc")).content == "3"
            http.should_exit = True
            while http.servers and http.servers[0].is_serving():
                await asyncio.sleep(0.05)
            with pytest.raises(InfraError, match=r"MCP server http://127\.0\.0\.1"):
                await call(tools, "count", shelf="abc")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Stdio(["no-such-command-anywhere"]), "was not found: it is not on the PATH"),
        (Stdio(["./no-such-file"]), "was not found: it is not an executable file"),
        (
            Stdio([sys.executable], sandbox="none", cwd="/no/such/folder"),
            "the working directory /no/such/folder",
        ),
        (Stdio([]), "is a list of words, got an empty one"),
        (Http("http://127.0.0.1:9/mcp"), "MCP server http://127.0.0.1:9/mcp: "),
    ],
)
async def test_at_start_up_a_server_that_cannot_be_had_is_one_line(target: Target, reason: str):
    async with asyncio.timeout(10):
        with pytest.raises(ConfigError) as caught:
            await probe(target, Limits(5))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.anyio
async def test_at_start_up_a_server_that_exits_is_quoted(script: Path):
    with pytest.raises(
        ConfigError, match="it ended before it spoke MCP; it said: no configuration found"
    ):
        await probe(stdio(script, "broken"))


@pytest.mark.anyio
async def test_a_call_outside_the_connection_is_not_the_policys_fault():
    connection = McpConnection(library())
    async with connection as tools:
        pass
    with pytest.raises(InfraError, match="the connection is not open"):
        await call(tools, "count", shelf="abc")


# --- processes and tasks -------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_command_inherits_no_secrets(
    script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("API_TOKEN", "s3cret")
    command = stdio(script).command
    target = Stdio(command, {"SEED": "7"}, sandbox="none", cwd=str(tmp_path))
    async with McpConnection(target) as tools:
        *names, cwd = (await call(tools, "variables")).structured["result"]
    assert "SEED" in names
    assert "PATH" in names
    assert "API_TOKEN" not in names
    assert cwd == str(tmp_path)


@pytest.mark.anyio
async def test_connections_opened_together_may_be_closed_by_other_tasks():
    connections = [McpConnection(library()) for _ in range(5)]
    all_tools = await asyncio.gather(*(each.__aenter__() for each in connections))
    results = await asyncio.gather(*(call(tools, "count", shelf="abc") for tools in all_tools))
    for connection in reversed(connections):
        await asyncio.create_task(connection.__aexit__(None, None, None))
    assert [result.content for result in results] == ["3"] * 5


@pytest.mark.anyio
async def test_an_opening_that_is_cancelled_leaves_no_process(script: Path):
    connection = McpConnection(stdio(script, "silent"))
    opening = asyncio.create_task(connection.__aenter__())
    async with asyncio.timeout(10):
        while not Path(f"{script}.pid").exists() or not Path(f"{script}.pid").read_text():
            await asyncio.sleep(0.02)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    await assert_ended(script)


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_the_connection_usable():
    async with asyncio.timeout(10), McpConnection(library()) as tools:
        with anyio.move_on_after(0.1) as scope:
            await call(tools, "sleep")
        assert scope.cancelled_caught
        assert (await call(tools, "count", shelf="ab")).content == "2"


def test_a_label_shows_no_credentials():
    assert str(Http("https://user:pass@x.test:8/mcp?key=1")) == "https://x.test:8/mcp"


def test_deadlines_must_be_positive():
    with pytest.raises(ConfigError, match="call_timeout_s must be positive, got 0"):
        Limits(call_timeout_s=0)
