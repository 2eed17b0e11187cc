"""The conformance checks find what is wrong and nothing else."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import pytest

from agentsd.interfaces import Env
from agentsd.testing import check_taskset
from agentsd.tools.function import FunctionTool, tool
from agentsd.types import Message, Outcome, Task, ToolCall, ToolResult, ToolSpec, Trajectory
from agentsd_envs import functions, mcp

TASK = Task("t1", "Remember milk.")
ADD_MILK = ToolCall("c1", "add_note", "{}", {"text": "milk"})
LIST = ToolCall("c2", "list_notes", "{}", {})


def note_tools(notes: list[str]) -> list[FunctionTool]:
    @tool
    def add_note(text: str) -> int:
        """Add a note."""
        notes.append(text)
        return len(notes)

    @tool
    def list_notes() -> list[str]:
        """List the notes."""
        return notes

    return [add_note, list_notes]


class Wrong:
    """A taskset that breaks promises: it raises, shares state and closes only once."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def tasks(self, split: str) -> Sequence[Task]:
        return [TASK, TASK]

    def env(self, task: Task) -> Env:
        return WrongEnv(self.notes)


class WrongEnv:
    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.tools = [ToolSpec("add_note", "Add.", {"required": ["text"]})]
        self.is_closed = False

    async def open(self) -> Sequence[Message]:
        return [Message("user", "Remember milk.")]

    async def call(self, call: ToolCall) -> ToolResult:
        if call.name != "add_note":
            raise KeyError(call.name)
        self.notes.append("x")
        return ToolResult("c1", f"{len(self.notes)}")

    async def grade(self, trajectory: Trajectory) -> Outcome | None:
        return None

    async def close(self) -> None:
        if self.is_closed:
            raise RuntimeError("closed already")
        self.is_closed = True


@pytest.mark.anyio
async def test_the_built_in_environments_conform():
    calls = [ADD_MILK, LIST]
    assert (
        await check_taskset(functions.taskset(lambda _task: note_tools([]), [TASK]), calls=calls)
        == []
    )


@pytest.mark.anyio
async def test_shared_state_is_found_with_calls_that_change_it():
    problems = await check_taskset(functions.taskset(note_tools([]), [TASK]), calls=[ADD_MILK])
    assert problems == [
        "task t1: add_note answers differently in a second episode: episodes share state, "
        "or the tool is not deterministic"
    ]


@pytest.mark.anyio
async def test_every_broken_promise_is_reported():
    async with asyncio.timeout(10):
        problems = await check_taskset(Wrong(), count=1, calls=[ADD_MILK])
    text = "\n".join(problems)
    assert "task id 't1' is used 2 times" in text
    assert "call agentsd_no_such_tool raised KeyError" in text
    assert "a malformed call must give is_error and error_class 'policy'" in text
    assert "arguments that break the schema must give is_error" in text
    assert "the result has the id 'c1'" in text
    assert "episodes share state" in text
    assert "a second close raised RuntimeError: closed already" in text


@pytest.mark.anyio
async def test_an_environment_that_does_not_open_is_reported_once():
    taskset = mcp.taskset([TASK], command=[sys.executable, "-c", "raise SystemExit('no licence')"])
    problems = await check_taskset(taskset)
    assert len(problems) == 1
    assert problems[0].startswith("task t1: open raised InfraError: MCP server")
