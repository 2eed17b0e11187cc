"""A recipe's environment section for a server, with what the server offers as comments.

The text is TOML, to be written to a file as it is. Knows nothing of command lines.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tomli_w

from agentsd.errors import ConfigError, InfraError
from agentsd.tools.env import tools_by_name
from agentsd.tools.mcp import McpConnection, McpTool
from agentsd.tools.mcp_contact import Contact
from agentsd.tools.mcp_options import server_options
from agentsd.tools.projection import offered, report
from agentsd.types import ToolSpec

MAX_SUMMARY = 72
"""Characters of a tool's description that are shown."""


async def recipe_section(given: Mapping[str, Any]) -> str:
    """Connect once to the server that the options describe, and write the section that uses it.

    Takes the fields of ``ServerOptions`` but ``server``. Raises ``ConfigError`` in one line for
    what is not an MCP server, or offers no usable tools.
    """
    options = server_options(given)
    target = options.target()
    if target is None:
        raise ConfigError("mcp: a recipe needs a command or a url")
    contact = Contact()
    started = time.perf_counter()
    try:
        async with McpConnection(target, options.deadlines(), contact) as tools:
            seconds = time.perf_counter() - started
            specs = _checked(tools)
    except InfraError as error:
        raise ConfigError(str(error)) from error
    head = f"{contact.server or 'MCP server'}, protocol {contact.protocol}"
    comments = [f"{head}, {len(specs)} tools, ready in {seconds:.1f} s", *_tools(specs)]
    comments += _changes(report(specs))
    section = {"env": {"name": "mcp", "options": {**given, "tasks": "tasks.jsonl"}}}
    return "".join(f"# {line}".rstrip() + "\n" for line in comments) + tomli_w.dumps(section)


def _checked(tools: Sequence[McpTool]) -> list[ToolSpec]:
    """The tools, once it is certain that an environment can offer them."""
    return [tool.spec for tool in tools_by_name(tools).values()]


def _tools(specs: Sequence[ToolSpec]) -> Iterator[str]:
    for spec in specs:
        yield f"  {spec.name}({_arguments(spec)}){'  read-only' if spec.read_only else ''}"
        summary = " ".join(spec.description.split())
        if summary:
            is_long = len(summary) > MAX_SUMMARY
            yield f"      {summary[: MAX_SUMMARY - 3] + '...' if is_long else summary}"


def _arguments(spec: ToolSpec) -> str:
    """The names of the arguments; those that may be left out in brackets."""
    schema = offered(spec).input_schema
    required = schema.get("required", ())
    return ", ".join(name if name in required else f"[{name}]" for name in schema["properties"])


def _changes(changes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if changes:
        yield "The policy sees a stricter form of these schemas; the originals judge the calls:"
    for name, lines in changes.items():
        for line in lines:
            yield f"  {name} {line}"
