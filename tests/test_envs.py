"""Environments from functions and from MCP servers, and the checks that every one must pass."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server import MCPServer

from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import Env, Taskset, Tool
from agentsd.tools.env import ToolEnv, opening, probe_taskset
from agentsd.tools.function import FunctionTool, ToolError, tool
from agentsd.types import Message, Outcome, Task, ToolCall, Trajectory
from agentsd_envs import functions, mcp
from agentsd_envs.functions import Kit

TASK = Task("t1", "Remember milk.", {"wanted": ["milk"]})
ADD_MILK = ToolCall("c1", "add_note", "{}", {"text": "milk"})
LIST = ToolCall("c2", "list_notes", "{}", {})

STATEFUL_SERVER = """
import os
from mcp.server import MCPServer

server, notes = MCPServer("notes"), []

@server.tool()
def add_note(text: str) -> int:
    "Add a note."
    notes.append(text)
    return len(notes)

@server.tool()
def process() -> int:
    "The process id."
    return os.getpid()

server.run()
"""


def note_tools(notes: list[str]) -> list[FunctionTool]:
    @tool
    def add_note(text: str) -> int:
        """Add a note."""
        if not text:
            raise ToolError("a note needs text")
        notes.append(text)
        return len(notes)

    @tool(read_only=True)
    def list_notes() -> list[str]:
        """List the notes."""
        return notes

    return [add_note, list_notes]


def notes_of_their_own(_task: Task) -> Sequence[Tool]:
    return note_tools([])


def trajectory(answer: str = "") -> Trajectory:
    return Trajectory("e1", TASK.id, "notes", (), (Message("assistant", answer),))


@contextlib.asynccontextmanager
async def opened(env: Env) -> AsyncIterator[Env]:
    try:
        await env.open()
        yield env
    finally:
        await env.close()


# --- functions -----------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_episode_opens_with_the_system_prompt_and_the_task():
    env = functions.taskset(notes_of_their_own, [TASK], system="Keep notes.").env(TASK)
    messages = await env.open()
    assert messages == (Message("system", "Keep notes."), Message("user", "Remember milk."))
    assert [spec.name for spec in env.tools] == ["add_note", "list_notes"]
    await env.close()
    assert opening(TASK) == (Message("user", "Remember milk."),)


@pytest.mark.anyio
async def test_two_episodes_of_one_task_do_not_see_each_other():
    taskset = functions.taskset(notes_of_their_own, [TASK])
    async with opened(taskset.env(TASK)) as first, opened(taskset.env(TASK)) as second:
        assert (await first.call(ADD_MILK)).content == "1"
        assert (await second.call(LIST)).content == "[]"
        assert (await first.call(LIST)).content == '["milk"]'


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("call", "content"),
    [
        (ToolCall("c", "get_note", "{}", {}), "Error: unknown tool get_note"),
        (ToolCall("c", "get\nnote", "{}", None), "Error: unknown tool get note"),
        (
            ToolCall("c", "add_note", "{", None, "Expecting ',' at 1"),
            "Error: call is not valid: Expecting ',' at 1",
        ),
        (ToolCall("c", "", "{", None, "no JSON"), "Error: call is not valid: no JSON"),
        (ToolCall("c", "add_note", "{}", {}), "Error: missing required argument 'text'"),
    ],
)
async def test_a_wrong_call_is_refused_in_one_stable_line_before_the_tool_runs(
    call: ToolCall, content: str
):
    notes: list[str] = []
    async with opened(functions.taskset(note_tools(notes), [TASK]).env(TASK)) as env:
        result = await env.call(call)
    assert (result.content, result.call_id) == (content, "c")
    assert (result.is_error, result.error_class) == (True, "policy")
    assert notes == []


@pytest.mark.anyio
async def test_a_grade_may_be_a_score_an_outcome_or_nothing_and_may_be_async():
    async def later(task: Task, _trajectory: Trajectory) -> Outcome:
        return Outcome(0.5, task.id)

    def contains_milk(_task: Task, seen: Trajectory) -> bool:
        return "milk" in seen.messages[-1].content

    async def outcome(grade: Any) -> Outcome | None:
        env = functions.taskset(notes_of_their_own, [TASK], grade=grade).env(TASK)
        return await env.grade(trajectory("milk"))

    assert await outcome(contains_milk) == Outcome(1.0)
    assert await outcome(later) == Outcome(0.5, "t1")
    assert await outcome(lambda _task, _trajectory: None) is None
    assert await outcome(None) is None


@pytest.mark.anyio
async def test_a_kit_grades_the_final_state_of_its_own_episode():
    def make(task: Task) -> Kit:
        notes: list[str] = []

        async def grade(_trajectory: Trajectory) -> Outcome:
            return Outcome(float(notes == task.data["wanted"]))

        return Kit(note_tools(notes), grade)

    taskset = functions.taskset(make, [TASK])
    async with opened(taskset.env(TASK)) as done, opened(taskset.env(TASK)) as idle:
        await done.call(ADD_MILK)
        assert await done.grade(trajectory()) == Outcome(1.0)
        assert await idle.grade(trajectory()) == Outcome(0.0)


@pytest.mark.anyio
async def test_a_long_result_is_cut_whatever_the_tool_is():
    async with opened(
        functions.taskset(note_tools(["x" * 500]), [TASK], max_result_bytes=128).env(TASK)
    ) as env:
        result = await env.call(LIST)
    assert len(result.content) <= 128
    assert result.truncated_bytes > 0
    assert result.structured is None


def test_what_is_not_a_list_of_tools_is_a_config_error():
    def plain(a: int) -> int:
        return a

    with pytest.raises(ConfigError, match="plain is not a tool; decorate it with @tool"):
        functions.taskset([plain], [TASK])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="two tools are named 'add_note'"):
        functions.taskset([*note_tools([]), *note_tools([])], [TASK])
    with pytest.raises(ConfigError, match="needs at least one tool"):
        functions.taskset([], [TASK])
    with pytest.raises(ConfigError, match="max_result_bytes must be at least 128"):
        functions.taskset(note_tools([]), [TASK], max_result_bytes=1).env(TASK)


# --- MCP -----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_every_episode_has_a_server_process_of_its_own(tmp_path: Path):
    (tmp_path / "notes.py").write_text(STATEFUL_SERVER)
    (tmp_path / "tasks.jsonl").write_text('{"id": "t1", "prompt": "Remember milk."}')
    taskset = mcp.taskset(
        str(tmp_path / "tasks.jsonl"),
        command=[sys.executable, str(tmp_path / "notes.py")],
        sandbox="none",  # in boxes of their own both would be process 2
    )
    process = ToolCall("c", "process", "{}", {})
    task = taskset.tasks("train")[0]
    async with opened(taskset.env(task)) as first, opened(taskset.env(task)) as second:
        assert (await first.call(ADD_MILK)).content == "1"
        assert (await second.call(ADD_MILK)).content == "1"
        assert (await first.call(process)).content != (await second.call(process)).content


@pytest.mark.anyio
async def test_a_server_made_for_the_task_is_an_environment():
    def make(task: Task) -> MCPServer:
        server = MCPServer("notes")

        @server.tool()
        def wanted() -> str:
            """What is wanted."""
            return ", ".join(task.data["wanted"])

        return server

    taskset = mcp.taskset([TASK], server=make)
    assert isinstance(taskset, Taskset)
    assert [spec.name for spec in await probe_taskset(taskset)] == ["wanted"]
    async with opened(taskset.env(TASK)) as env:
        assert (await env.call(ToolCall("c", "wanted", "{}", {}))).content == "milk"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "give exactly one of command, url, server; got none"),
        ({"command": ["x"], "url": "http://x"}, "exactly one of .*; got command, url"),
        ({"comand": ["x"]}, "option comand: Extra inputs are not permitted; options: command,"),
        ({"url": "x.test/mcp"}, "option url: String should match pattern"),
        ({"command": "python -m x"}, "option command: Input should be a valid list"),
        ({"command": ["x"], "call_timeout_s": 0}, "option call_timeout_s: .* greater than 0"),
        ({"command": ["no-such-command"]}, "'no-such-command' was not found"),
    ],
)
def test_wrong_server_options_are_named(options: dict[str, Any], reason: str):
    with pytest.raises(ConfigError, match=reason):
        mcp.taskset([TASK], **options)


@pytest.mark.anyio
async def test_an_environment_that_does_not_start_is_a_config_error_at_start_up():
    taskset = mcp.taskset([TASK], command=[sys.executable, "-c", "raise SystemExit('no licence')"])
    with pytest.raises(ConfigError, match=r"does not start: .*; it said: no licence"):
        await probe_taskset(taskset)


# --- any source of tools -------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_environment_leaves_its_source_once_even_when_its_tools_are_wrong():
    left: list[str] = []

    @contextlib.asynccontextmanager
    async def source(tools: Sequence[Tool]) -> AsyncIterator[Sequence[Tool]]:
        yield tools
        left.append("left")

    @contextlib.asynccontextmanager
    async def wrong() -> AsyncIterator[Sequence[Tool]]:
        try:
            yield []
        finally:
            left.append("left")

    env = ToolEnv(source(note_tools([])), opening(TASK))
    await env.open()
    await env.close()
    await env.close()
    assert left == ["left"]
    with pytest.raises(ConfigError, match="needs at least one tool"):
        await ToolEnv(wrong(), opening(TASK)).open()
    assert left == ["left", "left"]


@pytest.mark.anyio
async def test_a_source_may_hold_a_task_group():
    @contextlib.asynccontextmanager
    async def source() -> AsyncIterator[Sequence[Tool]]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 60)
            yield note_tools([])
            group.cancel_scope.cancel()

    async with opened(ToolEnv(source(), opening(TASK))) as env:
        assert (await env.call(ADD_MILK)).content == "1"


@pytest.mark.anyio
async def test_a_failing_tool_voids_the_episode():
    @tool
    def add_note(text: str) -> int:
        """Add a note."""
        raise OSError("disk full")

    async with opened(functions.taskset([add_note], [TASK]).env(TASK)) as env:
        with pytest.raises(InfraError, match="add_note raised OSError: disk full"):
            await env.call(ADD_MILK)
