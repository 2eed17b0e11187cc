"""Snapshots: what is restored, in which episode, and what cannot be a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentsd.errors import DataError, InfraError
from agentsd.interfaces import Env, Snapshots
from agentsd.snapshots import JsonState, SnapshotEnv
from agentsd.testing import check_taskset
from agentsd.tools.env import ToolEnv, opening
from agentsd.tools.mcp import McpConnection
from agentsd.types import Task, ToolCall
from agentsd_envs import depot
from agentsd_envs.desk.server import desk_server
from agentsd_envs.desk.state import state_of
from agentsd_envs.desk.tasks import desk_tasks
from agentsd_envs.desk.world import world_from

WRITE = ToolCall("w", "write_note", "", {"name": "plan", "text": "changed"})
SEND = ToolCall("s", "send_message", "", {"to": "c-300", "text": "hello"})
BOOK = ToolCall("b", "add_event", "", {"day": "mon", "hour": 9, "title": "demo"})
READ = ToolCall("r", "read_note", "", {"name": "plan"})

DESK = {
    "notes": {"plan": "as it was"},
    "contacts": {"Mia": "c-300"},
    "events": [["tue", 8, "audit"]],
}


def desk_env() -> tuple[Env, Callable[[], dict[str, Any]]]:
    """A desk that can go back in time, and its state."""
    world = world_from(DESK)
    tools = ToolEnv(McpConnection(desk_server(world)), opening(Task("t", "Work.")))
    return SnapshotEnv(tools, state_of(world)), world.state


def as_snapshots(env: Env) -> Snapshots:
    assert isinstance(env, Snapshots)
    return env


def test_a_desk_is_as_it_was_in_every_part_and_as_often_as_one_likes() -> None:
    async def run() -> None:
        env, state = desk_env()
        await env.open()
        before = state()
        snapshot = await as_snapshots(env).snapshot()
        for _ in range(2):
            for call in (WRITE, SEND, BOOK):
                assert not (await env.call(call)).is_error
            assert all(state()[part] != before[part] for part in ("notes", "outbox", "events"))
            await as_snapshots(env).restore(snapshot)
            assert state() == before
            assert (await env.call(READ)).content == "as it was"
        await env.close()

    asyncio.run(run())


def test_a_snapshot_goes_on_in_another_episode() -> None:
    async def run() -> None:
        first, state = desk_env()
        await first.open()
        for call in (WRITE, SEND, BOOK):
            await first.call(call)
        snapshot = await as_snapshots(first).snapshot()
        await first.close()
        second, other = desk_env()
        await second.open()
        await as_snapshots(second).restore(snapshot)
        assert other() == state()
        assert (await second.call(BOOK)).content == "Error: mon 9 is taken"
        await second.close()

    asyncio.run(run())


def test_a_depot_remembers_its_locks() -> None:
    taskset = depot.taskset(count=3)
    task = taskset.tasks("train")[0]
    job = task.data["jobs"][0]
    borrow = ToolCall("b", "borrow_key", "", {"person": job["person"]})
    read = ToolCall("r", "read_bin", "", {"name": job["bin"]})

    async def run() -> None:
        env = taskset.env(task)
        await env.open()
        key = (await env.call(borrow)).content
        open_ = ToolCall("o", "open_bin", "", {"name": job["bin"], "key": key})
        closed = await as_snapshots(env).snapshot()
        await env.call(open_)
        opened = await as_snapshots(env).snapshot()
        count = (await env.call(read)).content
        await as_snapshots(env).restore(closed)
        assert (await env.call(read)).content == f"Error: {job['bin']} is locked"
        await as_snapshots(env).restore(opened)
        assert (await env.call(read)).content == count
        assert (await env.call(borrow)).content == f"Error: return {key} first"
        await env.close()

    asyncio.run(run())


def test_an_env_with_snapshots_keeps_the_promises_of_an_environment() -> None:
    class Desks:
        def tasks(self, split: str) -> list[Task]:
            return desk_tasks(split, 2)

        def env(self, task: Task) -> Env:
            return desk_env()[0]

    assert asyncio.run(check_taskset(Desks(), "train", 1, [WRITE, READ, BOOK])) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"at": (1, 2)}, "use lists instead of tuples"),
        ({1: "one"}, "strings as keys"),
        ({"never": float("nan")}, "cannot be written as JSON"),
        ({"what": object()}, "cannot be written as JSON"),
    ],
)
def test_a_state_that_json_would_change_is_refused_when_it_is_taken(value: Any, words: str) -> None:
    state = JsonState(lambda: value, lambda _: None)
    with pytest.raises(InfraError, match=words):
        asyncio.run(state.snapshot())


def test_other_bytes_are_no_snapshot_and_change_nothing() -> None:
    loaded: list[Any] = []
    state = JsonState(dict, loaded.append)
    for other in (b"", b"{", b"\xff\xfe"):
        with pytest.raises(DataError, match="no snapshot of a JSON state"):
            asyncio.run(state.restore(other))
    assert loaded == []
