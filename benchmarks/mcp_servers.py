"""What an episode with an MCP server costs: in this process, as a program, in a box, started ahead.

    python benchmarks/mcp_servers.py                 the lab server of the tests
    python benchmarks/mcp_servers.py -- COMMAND      any server, with its first read-only tool

Every repeat runs all variants one after the other; ratios are taken within a repeat, against the
program without a box. Wall-clock milliseconds: a busy machine shows.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from mcp.server import MCPServer

from agentsd.interfaces import Tool
from agentsd.tools.mcp import Limits, McpConnection
from agentsd.tools.mcp_contact import Contact
from agentsd.tools.mcp_pool import warm_servers
from agentsd.tools.mcp_targets import SandboxName, Stdio, Target
from agentsd.types import ToolCall

LAB = Path(__file__).parents[1] / "tests/mcp_lab/server.py"
DEFAULT = ["/usr/bin/python3", str(LAB), "benchmark"]
CALLS = 100
LIMITS = Limits(connect_timeout_s=120.0, call_timeout_s=120.0)
PHASES = ("open", "call", "close")


def echo_server() -> MCPServer:
    """The lab's first tool, in this process."""
    server = MCPServer("echo")

    @server.tool(structured_output=False)
    def echo(text: str) -> str:
        """Give the text back."""
        return text

    return server


async def measured(
    source: AbstractAsyncContextManager[Sequence[Tool]], call: ToolCall
) -> Mapping[str, float]:
    """Milliseconds of one episode: until the tools are there, one call, and until all is gone."""
    opened = time.perf_counter()
    async with source as tools:
        tool = next(each for each in tools if each.spec.name == call.name)
        called = time.perf_counter()
        for _ in range(CALLS):
            assert not (await tool.run(call)).is_error
        closed = time.perf_counter()
    ended = time.perf_counter()
    spans = (called - opened, (closed - called) / CALLS, ended - closed)
    return {phase: 1000 * span for phase, span in zip(PHASES, spans, strict=True)}


async def repeat(command: Sequence[str], call: ToolCall) -> Mapping[str, Mapping[str, float]]:
    """All variants, one after the other."""
    contacts: dict[str, Contact] = {}

    def program(sandbox: SandboxName) -> McpConnection:
        return connection(Stdio(command, sandbox=sandbox), sandbox)

    def connection(target: Target, name: str) -> McpConnection:
        return McpConnection(target, LIMITS, contacts.setdefault(name, Contact()))

    rows: dict[str, Mapping[str, float]] = {}
    if call.name == "echo":
        rows["in this process"] = await measured(connection(echo_server(), "here"), call)
    for sandbox in ("none", "bwrap"):
        async with program(sandbox):  # the first contact is not what is measured
            pass
        name = "program" if sandbox == "none" else "program in a box"
        rows[name] = await measured(program(sandbox), call)
    async with warm_servers(lambda: program("bwrap"), 1) as servers:
        while not servers.num_ready():
            await asyncio.sleep(0.01)
        rows["box, started ahead"] = await measured(servers.source(), call)
    return rows


async def call_for(command: Sequence[str]) -> ToolCall:
    """A call that can be repeated: of a tool that needs no argument, unless it is the lab's."""
    if list(command) == DEFAULT:
        return ToolCall("c", "echo", "", {"text": "hi"})
    async with McpConnection(Stdio(command), LIMITS) as tools:
        for tool in tools:
            if tool.spec.read_only and not tool.spec.input_schema.get("required"):
                return ToolCall("c", tool.spec.name, "", {})
    raise SystemExit("the server has no read-only tool without required arguments")


def table(repeats: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    """Median milliseconds and the ratio to the program without a box: min / median / max."""
    print("| variant | open ms | one call ms | close ms | open ratio | call ratio |")
    print("|---|---|---|---|---|---|")
    for name in repeats[0]:
        medians = [statistics.median(row[name][phase] for row in repeats) for phase in PHASES]
        cells = [f"{value:.2f}" for value in medians]
        for phase in ("open", "call"):
            ratios = sorted(row[name][phase] / row["program"][phase] for row in repeats)
            middle = statistics.median(ratios)
            cells.append(f"{ratios[0]:.2f} / {middle:.2f} / {ratios[-1]:.2f}")
        print(f"| {name} | {' | '.join(cells)} |")


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("command", nargs="*", default=DEFAULT)
    options = parser.parse_args()
    call = await call_for(options.command)
    table([await repeat(options.command, call) for _ in range(options.repeats)])


if __name__ == "__main__":
    asyncio.run(main())
