"""Replays: what counts as equal, where a trajectory diverges, and how a turn is entered again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentsd.chat import Chat
from agentsd.config import RolloutConfig
from agentsd.engines.scripted import ScriptedEngine
from agentsd.errors import ConfigError, DataError, InfraError
from agentsd.interfaces import Env, Snapshots, Tool
from agentsd.matching import Matching, matching
from agentsd.replay import Diverged, Rewinds, replay, rewind
from agentsd.replay_report import Until, parse_until, replay_file
from agentsd.rollout import Plan, Rollout
from agentsd.store import write_trajectories
from agentsd.tools.env import ToolEnv, opening
from agentsd.tools.function import ToolError, tool
from agentsd.types import Message, Task, ToolCall, ToolResult, Trajectory
from agentsd_envs import depot, desk, functions
from agentsd_envs.depot import expert

TASK = Task("t1", "Count.")


class Counters:
    """A taskset whose tool counts; it may give other results, or fail, from some call on."""

    def __init__(self, *, drift_from: int | None = None, dead_from: int | None = None) -> None:
        self.drift_from, self.dead_from = drift_from, dead_from
        self.calls, self.open = 0, 0

    def tasks(self, split: str) -> Sequence[Task]:
        if split != "train":
            raise ConfigError("there are only training tasks")
        return [TASK]

    def env(self, task: Task = TASK) -> Env:
        total = 0

        @tool
        async def add(n: int) -> int:
            """Add to the total."""
            nonlocal total
            self.calls += 1
            if n < 0:
                raise ToolError("only more")
            total += n
            if self.dead_from is not None and total >= self.dead_from:
                raise InfraError("the server is gone")
            return total + (self.drift_from is not None and total >= self.drift_from)

        @contextlib.asynccontextmanager
        async def source() -> AsyncIterator[Sequence[Tool]]:
            self.open += 1
            yield [add]
            self.open -= 1

        return ToolEnv(source(), opening(task))


def add(n: int) -> ToolCall:
    return ToolCall(f"c{n}", "add", json.dumps({"n": n}), {"n": n})


async def record(env: Env, turns: Sequence[Sequence[ToolCall]]) -> Trajectory:
    """What an episode with these calls looks like."""
    messages = list(await env.open())
    for calls in turns:
        messages.append(Message("assistant", "", tool_calls=tuple(calls)))
        for call in calls:
            result = await env.call(call)
            messages.append(Message("tool", result.content, tool_call_id=call.id, result=result))
    messages.append(Message("assistant", "Done."))
    await env.close()
    return Trajectory("run/1", TASK.id, "counters", tuple(env.tools), tuple(messages))


def counted(*turns: Sequence[int]) -> Trajectory:
    calls = [[add(n) for n in turn] for turn in turns or ((1,), (2, 3), (4,))]
    return asyncio.run(record(Counters().env(), calls))


def said(text: str, *, is_error: bool = False) -> Message:
    return Message("tool", text, result=ToolResult("c", text, is_error=is_error))


# --- what counts as equal --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "recorded", "actual", "equal"),
    [
        (Matching(), said("6"), ToolResult("other-id", "6", seconds=9.0), True),
        (Matching(), said("6"), ToolResult("c", "6 "), False),
        (Matching(), said("no", is_error=True), ToolResult("c", "no"), False),
        (Matching(), Message("tool", "imported"), ToolResult("c", "imported", is_error=True), True),
        (Matching(), said('{"a": 1, "b": 2}'), ToolResult("c", '{"b":2,"a":1}'), False),
        (matching("json"), said('{"a": 1, "b": 2}'), ToolResult("c", '{"b":2,"a":1}'), True),
        (matching("json"), said('{"a": 1}'), ToolResult("c", '{"a": true}'), False),
        (matching("json"), said("plain"), ToolResult("c", "other"), False),
        (matching("errors"), said("sunny"), ToolResult("c", "rain"), True),
        (matching("errors"), said("sunny"), ToolResult("c", "no", is_error=True), False),
        (matching("errors"), Message("tool", "Error: no"), ToolResult("c", "rain"), False),
    ],
)
def test_a_mode_says_what_counts(
    how: Matching, recorded: Message, actual: ToolResult, equal: bool
) -> None:
    assert how.equal(recorded, actual) is equal


@pytest.mark.parametrize(
    ("kind", "then", "now"),
    [
        ("timestamps", "built 2026-01-02T03:04:05.678Z ok", "built 2027-11-12 13:14:15+02:00 ok"),
        ("timestamps", "at 03:04:05", "at 13:14:15,123"),
        (
            "uuids",
            "id 0f8fad5b-d9cb-469f-a165-70867728950e",
            "id 7C9E6679-7425-40DE-944B-E07FC1F90AE7",
        ),
        ("addresses", "<object at 0x7f3a2c001d90>", "<object at 0x55d0c0ffee00>"),
        ("durations", "2 passed in 0.31s", "2 passed in 12.07s"),
    ],
)
def test_volatile_text_is_ignored_only_when_asked_for(kind: str, then: str, now: str) -> None:
    result = ToolResult("c", now)
    assert matching("strict", [kind]).equal(said(then), result)
    assert not Matching().equal(said(then), result)
    assert not matching("strict", [kind]).equal(said(then + "!"), result)


def test_a_pattern_of_the_users_own_is_ignored() -> None:
    how = matching("strict", (), [r"port \d+"])
    assert how.equal(said("on port 4711"), ToolResult("c", "on port 4712"))
    assert not how.equal(said("on port 4711"), ToolResult("c", "off port 4711"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("loose", (), ()), "no mode 'loose'; use one of: strict, json, errors"),
        (("strict", ("moods",), ()), "cannot ignore 'moods'; use any of: timestamps"),
        (("strict", (), ("(",)), r"ignored pattern '\(': missing \)"),
        (("strict", (), ("x*",)), "matches nothing at all"),
    ],
)
def test_what_cannot_be_matched_is_refused_in_one_line(arguments: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        matching(*arguments)
    assert "\n" not in str(caught.value)


# --- replay ----------------------------------------------------------------------------------


def test_a_deterministic_environment_answers_alike() -> None:
    again = asyncio.run(replay(counted(), Counters().env))
    assert (again.status, again.calls, again.equal, again.unanswered) == ("equal", 4, 4, 0)
    assert again.opening_equal


def test_the_first_divergence_is_named_and_the_rest_still_counted() -> None:
    # Totals: 1, then 3 and 6, then 10. From 6 on one more is reported: calls 2 and 3 differ.
    counters = Counters(drift_from=6)
    again = asyncio.run(replay(counted(), counters.env))
    assert (again.status, again.calls, again.equal) == ("diverged", 4, 2)
    found = again.divergence
    assert found is not None
    assert (found.turn, found.call_index, found.tool) == (1, 1, "add")
    assert (found.expected, found.actual) == ("6", "7")
    assert counters.open == 0


def test_only_the_calls_before_a_turn_are_made() -> None:
    again = asyncio.run(replay(counted(), Counters(drift_from=10).env, stop_turn=2))
    assert (again.status, again.calls) == ("equal", 3)


def test_an_error_that_is_none_any_more_is_a_divergence_even_with_the_same_text() -> None:
    run = counted()
    first = run.messages[2]
    assert first.result is not None
    failed = replace(first, result=replace(first.result, is_error=True, error_class="tool"))
    changed = replace(run, messages=(*run.messages[:2], failed, *run.messages[3:]))
    again = asyncio.run(replay(changed, Counters().env))
    assert "is not an error now: '1'" in str(again.divergence)


def test_malformed_and_refused_calls_are_replayed_like_all_others() -> None:
    broken = ToolCall("b", "add", '{"n": ', None, "the JSON ends early")
    run = asyncio.run(record(Counters().env(), [[broken], [add(-1)], [add(2)]]))
    again = asyncio.run(replay(run, Counters().env))
    assert (again.status, again.calls) == ("equal", 3)


def test_a_call_without_a_result_is_not_made() -> None:
    run = counted((1,), (2, 3))
    # The last result is gone, as of a call beyond the budget; "Done." follows it in the recording.
    cut = replace(run, messages=run.messages[:-2])
    counters = Counters()
    again = asyncio.run(replay(cut, counters.env))
    assert (again.status, again.calls, again.unanswered, counters.calls) == ("equal", 2, 1, 2)


def test_a_dead_server_voids_the_replay_and_leaves_nothing_open() -> None:
    counters = Counters(dead_from=3)
    again = asyncio.run(replay(counted(), counters.env))
    assert (again.status, again.calls, again.problem) == ("void", 1, "the server is gone")
    assert counters.open == 0


def test_another_prompt_is_noticed() -> None:
    other = Counters()
    again = asyncio.run(replay(counted(), lambda: other.env(Task("t1", "Count better."))))
    assert (again.status, again.opening_equal) == ("equal", False)


# --- rewind ----------------------------------------------------------------------------------


async def total(env: Env) -> int:
    return int((await env.call(add(0))).content)


def test_a_rewound_environment_is_in_the_state_just_before_the_turn() -> None:
    async def run() -> list[int]:
        totals = []
        for turn in range(5):
            async with rewind(Counters().env, counted_run, turn) as env:
                totals.append(await total(env))
        return totals

    counted_run = counted()
    # Before turns 0 to 3, and behind the last message.
    assert asyncio.run(run()) == [0, 1, 6, 10, 10]


def test_a_state_that_cannot_be_reached_raises_instead_of_being_another() -> None:
    counters, run = Counters(drift_from=3), counted()

    async def enter(turn: int) -> int:
        async with rewind(counters.env, run, turn) as env:
            return await total(env)

    assert asyncio.run(enter(1)) == 1
    with pytest.raises(Diverged, match=r"run/1 diverges in turn 1, call 0.*got '4', recorded '3'"):
        asyncio.run(enter(2))
    assert counters.open == 0


def test_a_divergence_voids_an_episode() -> None:
    assert issubclass(Diverged, InfraError)


@pytest.mark.parametrize("turn", [-1, 5])
def test_a_turn_that_does_not_exist_is_refused(turn: int) -> None:
    run = counted()
    assert len(run.turns()) == 4
    with pytest.raises(DataError, match="has 4 turns, there is no turn"):
        asyncio.run(enter_run(run, turn))


async def enter_run(run: Trajectory, turn: int) -> None:
    async with rewind(Counters().env, run, turn):
        raise AssertionError("entered")


def test_nobody_rewinds_over_a_call_whose_effect_is_unknown() -> None:
    run = counted((1,), (2,), (3,))
    lost = replace(run, messages=tuple(m for m in run.messages if m.content != "3"))
    with pytest.raises(DataError, match="call 0 of turn 1 has no recorded result"):
        asyncio.run(enter_run(lost, 2))


def depot_run() -> tuple[depot.DepotTaskset, Task, Trajectory]:
    """The expert's work on a task of two keys."""
    taskset = depot.taskset(count=30)
    task = taskset.tasks("train")[2]

    async def run() -> Trajectory:
        env, messages = taskset.env(task), list[Message]()
        messages += await env.open()
        steps = expert.steps(task)
        step = next(steps)
        with contextlib.suppress(StopIteration):
            while True:
                call = ToolCall(f"c{len(messages)}", step.tool, "", step.arguments)
                result = await env.call(call)
                messages.append(Message("assistant", "", tool_calls=(call,)))
                messages.append(Message("tool", result.content, result=result))
                step = steps.send(result.content)
        await env.close()
        return Trajectory("d", task.id, "depot", tuple(env.tools), tuple(messages))

    return taskset, task, asyncio.run(run())


class Watched:
    """An environment with snapshots that counts its calls."""

    def __init__(self, env: Env, calls: list[str]) -> None:
        assert isinstance(env, Snapshots)
        self.env, self.calls = env, calls
        self.open, self.close, self.grade = env.open, env.close, env.grade
        self.snapshot, self.restore = env.snapshot, env.restore
        self.tools = env.tools

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call.name)
        return await self.env.call(call)


def test_an_environment_with_snapshots_goes_through_the_calls_only_once() -> None:
    taskset, task, run = depot_run()
    calls: list[str] = []
    rewinds = Rewinds(lambda: Watched(taskset.env(task), calls), run)
    turns = len(run.turns())

    async def state_before(turn: int) -> bytes:
        async with rewinds.before(turn) as env:
            assert isinstance(env, Snapshots)
            return await env.snapshot()

    async def visit() -> tuple[bytes, bytes, bytes]:
        late, again = await state_before(turns), await state_before(turns)
        return late, again, await state_before(turns - 3)

    late, again, earlier = asyncio.run(visit())
    # All of them once, none for the second visit, and for the earlier turn those up to it.
    assert len(calls) == turns + 0 + (turns - 3)
    assert late == again != earlier


def test_a_snapshot_gives_the_state_that_replay_gives() -> None:
    taskset, task, run = depot_run()
    rewinds = Rewinds(lambda: taskset.env(task), run)

    async def visit() -> None:
        for turn in (3, 6, 9, 9, 6):
            async with (
                rewinds.before(turn) as first,
                rewind(lambda: taskset.env(task), run, turn) as second,
            ):
                assert isinstance(first, Snapshots)
                assert isinstance(second, Snapshots)
                assert await first.snapshot() == await second.snapshot()
                # Going on changes this episode only.
                for later in run.turns()[turn:]:
                    await first.call(later.message.tool_calls[0])

    asyncio.run(visit())


# --- files -----------------------------------------------------------------------------------


@pytest.fixture
def recorded_file(tmp_path: Path) -> Path:
    path = tmp_path / "runs.jsonl"
    runs = [replace(counted((n,), (n, n)), id=f"run/{n}") for n in range(1, 21)]
    write_trajectories(path, runs)
    return path


def test_a_file_is_replayed_in_its_order(recorded_file: Path) -> None:
    report = asyncio.run(replay_file(recorded_file, Counters()))
    assert report.is_equal
    assert [each.trajectory_id for each in report.replays] == [f"run/{n}" for n in range(1, 21)]
    counts = {"trajectories": 20, "equal": 20, "diverged": 0, "void": 0}
    counts |= {"calls": 60, "equal_calls": 60, "unanswered_calls": 0}
    assert report.counts() == counts


def test_the_report_names_the_divergence_of_each_trajectory(recorded_file: Path) -> None:
    # Run n ends at a total of 3 n: from n = 20 on, 60 is reached, in turn 1, call 1.
    report = asyncio.run(replay_file(recorded_file, Counters(drift_from=60))).plain()
    assert json.loads(json.dumps(report)) == report
    assert (report["diverged"], report["calls"], report["equal_calls"]) == (1, 60, 59)
    assert report["replays"][-1] == {
        "trajectory_id": "run/20",
        "task_id": "t1",
        "status": "diverged",
        "calls": 3,
        "equal_calls": 2,
        "unanswered_calls": 0,
        "opening_equal": True,
        "divergence": {
            "turn": 1,
            "call_index": 1,
            "tool": "add",
            "expected": "60",
            "actual": "61",
            "expected_error": False,
            "actual_error": False,
        },
        "problem": "",
    }


def test_until_picks_a_trajectory_and_stops_before_a_turn(recorded_file: Path) -> None:
    until = parse_until("run/20:1")
    report = asyncio.run(replay_file(recorded_file, Counters(drift_from=60), until=until))
    assert report.counts()["calls"] == 1
    assert report.is_equal


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (Until("run/99", 0), "holds no trajectory 'run/99'"),
        (Until("run/20", 7), "run/20 has 3 turns, there is no turn 7"),
    ],
)
def test_an_until_that_names_nothing_is_refused(
    recorded_file: Path, until: Until, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        asyncio.run(replay_file(recorded_file, Counters(), until=until))


@pytest.mark.parametrize("text", ["run/20", ":3", "run/20:-1", "run/20:last"])
def test_an_until_is_an_id_and_a_turn(text: str) -> None:
    with pytest.raises(ConfigError, match="is not of the form ID:TURN"):
        parse_until(text)


def test_a_task_that_the_environment_does_not_have_is_one_clear_error(recorded_file: Path) -> None:
    with pytest.raises(DataError, match="run/1: the environment has no task 't1' among its 6"):
        asyncio.run(replay_file(recorded_file, desk.taskset(count=3)))


def test_a_file_without_trajectories_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    write_trajectories(path, [])
    with pytest.raises(DataError, match="holds no trajectories"):
        asyncio.run(replay_file(path, Counters(), fmt="agentsd"))


def test_a_served_environment_is_replayed_from_a_file(tmp_path: Path) -> None:
    taskset, _, run = depot_run()
    path = tmp_path / "runs.jsonl"
    write_trajectories(path, [run])
    report = asyncio.run(replay_file(path, taskset))
    assert report.is_equal
    assert report.counts()["calls"] == len(run.turns())


def test_what_the_rollout_driver_records_is_replayed(tmp_path: Path, desk_chat: Chat) -> None:
    taskset, task, run = depot_run()
    calls = [call for message in run.messages for call in message.tool_calls]
    texts = [json.dumps({"name": c.name, "arguments": dict(c.arguments or {})}) for c in calls]

    def script(episode_id: str, turn: int, prompt_ids: Sequence[int]) -> Sequence[int]:
        text = f"<tool_call>\n{texts[turn % len(texts)]}\n</tool_call>"
        return (*desk_chat.template.encode(text), desk_chat.stop_ids[0])

    rollout = Rollout(taskset, ScriptedEngine(script), desk_chat, RolloutConfig(), "depot")
    path = tmp_path / "runs.jsonl"
    write_trajectories(path, asyncio.run(rollout.run([Plan("r", task, 0)])))
    report = asyncio.run(replay_file(path, taskset))
    # The policy never stops: the call beyond the budget was recorded, but not run.
    assert report.is_equal
    assert report.counts()["calls"] == task.max_calls
    assert report.counts()["unanswered_calls"] == 1


def test_volatile_functions_are_replayed_with_what_varies_ignored(tmp_path: Path) -> None:
    clock = iter(range(10, 60))

    @tool
    def now() -> str:
        """The time."""
        return f"it is 12:00:{next(clock)}"

    taskset = functions.taskset([now], [TASK])
    calls = [[ToolCall("n", "now", "{}", {})]]
    run = asyncio.run(record(taskset.env(TASK), calls))
    path = tmp_path / "runs.jsonl"
    write_trajectories(path, [run])
    assert not asyncio.run(replay_file(path, taskset)).is_equal
    how = matching("strict", ["timestamps"])
    assert asyncio.run(replay_file(path, taskset, matching=how)).is_equal
