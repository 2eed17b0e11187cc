"""OpenEnv servers over the wire, against the real `openenv` package, which has its own venv."""

from __future__ import annotations

import asyncio
import contextlib
import select
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from agentsd.errors import ConfigError, DataError, InfraError
from agentsd.interfaces import Env
from agentsd.testing import check_taskset
from agentsd.types import Message, Outcome, Task, ToolCall, ToolResult, Trajectory
from agentsd_envs.openenv import OpenEnvTaskset, taskset
from agentsd_envs.openenv.session import Server, session

PYTHON = Path(__file__).parents[1] / ".cache" / "openenv" / "bin" / "python"
SCRIPT = Path(__file__).parent / "data" / "openenv" / "server.py"
START_S = 120
TASK = Task("t1", "Play.")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a real server, which is ended by its own handle."""
    if not PYTHON.exists():
        pytest.skip(f"the package openenv is not in {PYTHON.parents[1]}; run .ci/openenv")
    command = [str(PYTHON), "-W", "ignore", str(SCRIPT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert select.select([server.stdout], [], [], START_S)[0], "the server did not start"
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def tasks_at(url: str, kind: str, task: Task = TASK, **options: Any) -> OpenEnvTaskset:
    return taskset([task], url=f"{url}/{kind}", **options)


def guess(number: object) -> ToolCall:
    return ToolCall(f"g{number}", "step", "", {"number": number})


def add(text: str) -> ToolCall:
    return ToolCall(f"a{text}", "add_note", "", {"text": text})


LIST = ToolCall("l", "list_notes", "", {})


@contextlib.asynccontextmanager
async def opened(tasks: OpenEnvTaskset, task: Task = TASK) -> AsyncIterator[Env]:
    env = tasks.env(task)
    try:
        await env.open()
        yield env
    finally:
        await env.close()


async def graded(env: Env) -> Outcome | None:
    return await env.grade(Trajectory("e", TASK.id, "openenv", (), ()))


def play(tasks: OpenEnvTaskset, *calls: ToolCall) -> tuple[list[ToolResult], Outcome | None]:
    async def run() -> tuple[list[ToolResult], Outcome | None]:
        async with opened(tasks, tasks.tasks("train")[0]) as env:
            return [await env.call(call) for call in calls], await graded(env)

    return asyncio.run(run())


def test_an_action_is_one_tool_with_the_fields_of_the_schema(url: str):
    async def specs() -> object:
        async with opened(tasks_at(url, "guess")) as env:
            return env.tools

    (spec,) = asyncio.run(specs())  # pyright: ignore[reportGeneralTypeIssues]
    assert spec.name == "step"
    assert spec.description == "Guess the number."
    assert set(spec.input_schema["properties"]) == {"number"}
    assert spec.input_schema["required"] == ["number"]


def test_the_first_observation_is_told_and_its_metadata_are_not(url: str):
    async def first() -> object:
        env = tasks_at(url, "guess", system="Play well.").env(TASK)
        try:
            return await env.open()
        finally:
            await env.close()

    assert asyncio.run(first()) == (
        Message("system", "Play well."),
        Message("user", 'Play.\n\n{"text": "think of 0 to 100"}'),
    )


def test_an_episode_is_played_to_its_reward(url: str):
    results, outcome = play(tasks_at(url, "guess"), guess(3), guess(7))
    assert [result.content for result in results] == [
        '{"text": "wrong"}',
        '{"text": "right", "done": true}',
    ]
    assert outcome == Outcome(0.75)  # 1, less 0.25 for the one miss


def test_rewards_are_summed_when_asked(url: str):
    tasks = tasks_at(url, "notes", reward="sum")
    _, outcome = play(tasks, add("tea"), add("milk"), LIST)
    assert outcome is not None
    assert outcome.score == 2.0  # 0 before the milk, 1 with it, 1 again


def test_an_episode_without_a_reward_is_unscored(url: str):
    assert play(tasks_at(url, "guess"))[1] is None


def test_the_authors_grade_goes_before_the_rewards(url: str):
    tasks = tasks_at(url, "guess", grade=lambda task, trajectory: 0.5)
    assert play(tasks, guess(7))[1] == Outcome(0.5)


def test_reset_options_reach_the_environment(url: str):
    task = Task("t2", "Play.", {"reset": {"seed": 42}})
    results, _ = play(tasks_at(url, "guess", task), guess(7), guess(42))
    assert '"wrong"' in results[0].content
    assert '"right"' in results[1].content


def test_reset_options_must_be_an_object(url: str):
    task = Task("t2", "Play.", {"reset": 42})
    with pytest.raises(DataError, match=r"task t2: data\.reset must be an object"):
        tasks_at(url, "guess", task).env(task)


def test_a_reset_that_fails_voids_the_episode(url: str):
    task = Task("t2", "Play.", {"reset": {"seed": 666}})
    with pytest.raises(InfraError, match="the reset failed: no such seed"):
        play(tasks_at(url, "guess", task))


def test_a_call_after_the_end_is_refused(url: str):
    results, outcome = play(tasks_at(url, "guess"), guess(7), guess(3))
    assert results[1].content == "Error: the episode is over"
    assert outcome == Outcome(1.0)


def test_an_exception_of_the_environment_is_the_tools_own_no(url: str):
    results, _ = play(tasks_at(url, "guess"), guess(13), guess(7))
    assert (results[0].content, results[0].error_class) == ("Error: 13 is unlucky", "tool")
    assert '"right"' in results[1].content


def test_a_value_outside_the_schema_never_reaches_the_server(url: str):
    results, _ = play(tasks_at(url, "guess"), guess(101))
    assert results[0].error_class == "policy"
    assert "101 is greater than the maximum of 100" in results[0].content


def test_a_late_reply_is_not_taken_for_the_next_one(url: str):
    results, outcome = play(tasks_at(url, "guess", call_timeout_s=0.7), guess(14), guess(7))
    assert (results[0].is_error, results[0].error_class) == (True, "timeout")
    assert '"right"' in results[1].content
    assert outcome == Outcome(0.75)


@pytest.mark.parametrize("kind", ["notes", "notes-rpc"])
def test_mcp_tools_are_listed_and_called(url: str, kind: str):
    tasks = tasks_at(url, kind)
    results, _ = play(tasks, add("tea"), LIST)
    assert [result.is_error for result in results] == [False, False]
    assert results[0].content == "1"
    assert "tea" in results[1].content


@pytest.mark.parametrize("kind", ["notes", "notes-rpc"])
def test_an_mcp_tool_that_says_no_is_a_value(url: str, kind: str):
    results, _ = play(tasks_at(url, kind), add(""), add("tea"))
    assert (results[0].is_error, results[0].error_class) == (True, "tool")
    assert "a note needs text" in results[0].content
    assert results[1].content == "1"


def test_tool_calls_as_actions_are_rewarded(url: str):
    assert play(tasks_at(url, "notes"), add("milk"))[1] == Outcome(
        1.0, "the environment did not say it is done"
    )


def test_tool_calls_that_are_no_actions_bring_no_reward(url: str):
    assert play(tasks_at(url, "notes-rpc"), add("milk"))[1] is None


@pytest.mark.parametrize("kind", ["notes", "notes-rpc"])
def test_the_mcp_environments_conform(url: str, kind: str):
    calls = [add("tea"), LIST]
    assert asyncio.run(check_taskset(tasks_at(url, kind), count=1, calls=calls)) == []


def test_the_action_environment_conforms(url: str):
    calls = [guess(3), guess(7)]
    assert asyncio.run(check_taskset(tasks_at(url, "guess"), count=1, calls=calls)) == []


def test_a_server_that_is_full_voids_the_episode_and_a_closed_one_makes_room(url: str):
    async def run() -> str:
        tasks = tasks_at(url, "guess")
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(opened(tasks))
            with pytest.raises(InfraError, match="CAPACITY_REACHED"):
                await stack.enter_async_context(opened(tasks))
        async with opened(tasks) as env:
            return (await env.call(guess(7))).content

    assert '"right"' in asyncio.run(run())


def test_the_state_is_the_environments_own(url: str):
    async def run() -> object:
        async with session(Server(f"{url}/guess", 10, 10)) as connected:
            await connected.reset({})
            await connected.step({"number": 1})
            return await connected.state()

    assert asyncio.run(run()) == {"episode_id": "e", "step_count": 1}


def test_a_server_that_is_not_there_voids_the_episode():
    with pytest.raises(InfraError, match=r"OpenEnv server http://127\.0\.0\.1:9/.*Connect"):
        play(tasks_at("http://user:secret@127.0.0.1:9", ""))


def test_a_connection_that_is_lost_voids_the_episode():
    async def hang_up(connection: ServerConnection) -> None:
        await connection.recv()

    async def run() -> None:
        async with serve(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with session(Server(f"http://127.0.0.1:{port}", 10, 10)) as connected:
                await connected.step({})

    with pytest.raises(InfraError, match="the connection is lost"):
        asyncio.run(run())


@pytest.mark.parametrize("text", ["hello", '{"type": "welcome", "data": {}}'])
def test_a_server_that_speaks_another_protocol_voids_the_episode(text: str):
    async def chat(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(text)
        await connection.wait_closed()

    async def run() -> None:
        async with serve(chat, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with session(Server(f"http://127.0.0.1:{port}", 10, 10)) as connected:
                await connected.step({})

    with pytest.raises(InfraError, match="not an OpenEnv reply"):
        asyncio.run(run())


def test_bad_options_are_refused_in_one_line():
    with pytest.raises(ConfigError, match="option call_timeout_s: Input should be greater than 0"):
        taskset([TASK], url="http://x", call_timeout_s=0)
    with pytest.raises(ConfigError, match="option url: Field required"):
        taskset([TASK])
    with pytest.raises(ConfigError, match="url must be http"):
        taskset([TASK], url="127.0.0.1:8000")
    with pytest.raises(ConfigError, match="option reward: Input should be 'last' or 'sum'"):
        taskset([TASK], url="http://x", reward="mean")
