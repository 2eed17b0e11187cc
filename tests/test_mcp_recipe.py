"""From a server to a recipe section, and the options of the environment."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer

from agentsd.errors import ConfigError
from agentsd.tools.mcp_recipe import recipe_section
from agentsd.tools.mcp_targets import Http, Stdio, check_target, expanded
from agentsd.types import Task, ToolCall
from agentsd_envs import mcp

LAB = str(Path(__file__).with_name("mcp_lab") / "server.py")
COMMAND = ["/usr/bin/python3", LAB, "recipe"]
TASK = Task("t", "Do it.")


@pytest.mark.anyio
async def test_a_server_becomes_a_section_that_a_recipe_can_hold():
    text = await recipe_section({"command": COMMAND, "sandbox": "none"})
    assert tomllib.loads(text) == {
        "env": {
            "name": "mcp",
            "options": {"command": COMMAND, "sandbox": "none", "tasks": "tasks.jsonl"},
        }
    }
    assert text.startswith("# lab 1, protocol 2025-11-25, 18 tools, ready in ")
    assert "#   echo(text)\n#       Give the text back.\n" in text
    assert "#   large([num_bytes])\n" in text


@pytest.mark.anyio
@pytest.mark.parametrize("command", [["/bin/ls", "/"], ["/bin/cat"], ["/bin/true"]])
async def test_a_command_that_is_no_server_is_one_line(command: list[str]):
    with pytest.raises(ConfigError, match="MCP server /bin/") as caught:
        await recipe_section({"command": command, "sandbox": "none"})
    assert "\n" not in str(caught.value)


@pytest.mark.anyio
async def test_what_projection_changes_is_part_of_the_section(tmp_path: Path):
    script = tmp_path / "server.py"
    script.write_text(
        Path(LAB).read_text().replace("NOTHING = {", 'NOTHING = {"minProperties": 0, ')
    )
    text = await recipe_section(
        {"command": ["/usr/bin/python3", str(script), "x"], "sandbox": "none"}
    )
    assert "#   hang arguments: minProperties is left to validation\n" in text
    tomllib.loads(text)


@pytest.mark.anyio
async def test_the_policy_is_offered_the_strict_form_and_judged_by_the_original():
    server = MCPServer("open")

    @server.tool()
    def count(shelf: str, limit: int | None = None) -> str:
        """Count the books."""
        return f"{shelf} {limit}"

    env = mcp.taskset([TASK], server=lambda task: server).env(TASK)
    await env.open()
    (spec,) = env.tools
    assert spec.input_schema == {
        "type": "object",
        "properties": {
            "shelf": {"type": "string"},
            "limit": {"type": ["integer", "null"], "default": None},
        },
        "required": ["shelf"],
        "additionalProperties": False,
    }
    more = await env.call(ToolCall("c", "count", "", {"shelf": "a", "other": 1}))
    assert (more.content, more.is_error) == ("a None", False)
    await env.close()


@pytest.mark.anyio
async def test_a_running_taskset_gives_servers_that_are_started_already():
    options: dict[str, Any] = {"command": COMMAND, "sandbox": "none", "warm": 1}
    async with mcp.taskset([TASK], **options).running() as taskset:
        assert taskset.warm is not None
        for _ in range(2):
            env = taskset.env(TASK)
            await env.open()
            answer = await env.call(ToolCall("c", "echo", "", {"text": "hi"}))
            await env.close()
            assert answer.content == "hi"
    assert taskset.contact.mode == "legacy", "what was learned is shared"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"command": ["uvx", "mcp-server-time"]}, r"uvx.*(install it first|was not found)"),
        (
            {"command": [sys.executable], "cwd": "/tmp"},
            'working directory is /work.*files = "/tmp"',
        ),
        ({"command": [sys.executable], "files": "/no/such"}, "folder /no/such does not exist"),
        ({"command": [sys.executable], "mounts": {"a": "/tmp"}}, "a must be an absolute path"),
        ({"command": [sys.executable], "mounts": {"/a": "/no/such"}}, "/no/such does not exist"),
        (
            {"command": [sys.executable], "sandbox": "none", "files": "/tmp"},
            "files and mounts describe a sandbox",
        ),
        (
            {"command": [sys.executable], "limits": {"ram": 1}},
            "limits.ram: unknown; limits: memory",
        ),
        ({"command": [sys.executable], "limits": {"cpus": 0}}, "cpus must be positive"),
        ({"url": "http://127.0.0.1/mcp", "warm": 1}, "option warm is for command"),
        ({"command": [sys.executable], "headers": {"A": "b"}}, "option headers is for url"),
        (
            {"url": "http://127.0.0.1/mcp", "headers": {"Authorization": "Bearer abc"}},
            "MCP header Authorization: a secret may not stand in a recipe",
        ),
        (
            {"url": "http://127.0.0.1/mcp", "headers": {"X-Key": "${AGENTSD_NO_SUCH}"}},
            "environment variable AGENTSD_NO_SUCH is not set; X-Key needs it",
        ),
    ],
)
def test_options_that_cannot_work_are_one_line(options: dict[str, Any], problem: str):
    with pytest.raises(ConfigError, match=problem) as caught:
        mcp.taskset([TASK], **options)
    assert "\n" not in str(caught.value)
    assert "Bearer abc" not in str(caught.value)


def test_values_take_variables_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOKEN", "s3cret")
    headers = {"Authorization": "Bearer ${TOKEN}", "X-Plain": "as it is"}
    assert expanded(headers) == {"Authorization": "Bearer s3cret", "X-Plain": "as it is"}
    assert "s3cret" not in repr(Http("http://x.test", headers))


def test_a_pinned_interpreter_is_asked_for_where_a_shim_would_choose(tmp_path: Path):
    shims = tmp_path / "shims"
    shims.mkdir()
    shim = shims / "python3"
    shim.write_text("#!/bin/sh\n")
    shim.chmod(0o755)
    with pytest.raises(ConfigError, match=r"is a shim.*name the program itself"):
        check_target(Stdio([str(shim)]))
