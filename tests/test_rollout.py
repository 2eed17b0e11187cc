"""Rollouts: what is recorded, what ends an episode, and whose fault a failure is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agentsd.chat import Chat
from agentsd.config import RolloutConfig
from agentsd.engines.scripted import ScriptedEngine
from agentsd.errors import InfraError
from agentsd.rollout import Plan, Rollout, usable, voided
from agentsd.tools.env import ToolEnv, opening
from agentsd.tools.function import tool
from agentsd.types import Outcome, StopReason, Task, ToolCall, Trajectory

CALL = '<tool_call>\n{"name": "double", "arguments": {"n": 4}}\n</tool_call>'


class Functions:
    """A taskset of one tool; the tool or the opening may be made to fail."""

    def __init__(self, double: Callable[[int], Any], *, broken: Sequence[str] = ()) -> None:
        self.double, self.broken, self.closed = double, broken, 0

    def tasks(self, split: str) -> Sequence[Task]:
        return [Task("t", "Double 4.", max_calls=2)]

    def env(self, task: Task) -> ToolEnv:
        owner = self

        class Source:
            async def __aenter__(self) -> Sequence[Any]:
                if task.id in owner.broken:
                    raise InfraError("the server is gone")
                return [tool(owner.double)]

            async def __aexit__(self, *_: object) -> None:
                owner.closed += 1

        async def grade(trajectory: Trajectory) -> Outcome:
            return Outcome(1.0 if "Done." in trajectory.messages[-1].content else 0.0)

        return ToolEnv(Source(), opening(task), grade=grade)


def double(n: int) -> int:
    """Twice the number."""
    return 2 * n


def run_all(
    chat: Chat, taskset: Functions, turns: Sequence[str], plans: Sequence[Plan], **cfg: Any
) -> list[Trajectory]:
    def script(episode_id: str, turn: int, prompt_ids: Sequence[int]) -> Sequence[int]:
        return (*chat.template.encode(turns[turn]), chat.stop_ids[0])

    rollout = Rollout(taskset, ScriptedEngine(script), chat, RolloutConfig(**cfg), "toy")
    return asyncio.run(rollout.run(plans))


def plan(id_: str = "p", max_calls: int | None = 2) -> Plan:
    return Plan(id_, Task(id_, "Double 4.", max_calls=max_calls), seed=1)


def test_an_episode_records_messages_and_the_very_tokens(desk_chat: Chat) -> None:
    (trajectory,) = run_all(desk_chat, Functions(double), [CALL, "Done."], [plan()])
    assert [m.role for m in trajectory.messages] == ["user", "assistant", "tool", "assistant"]
    assert trajectory.messages[1].tool_calls[0].arguments == {"n": 4}
    assert trajectory.messages[2].content == "8"
    assert trajectory.stop_reason == StopReason.DONE
    assert trajectory.outcome.score == 1.0
    (log,) = trajectory.token_logs
    sampled = [log.ids[i] for i in range(len(log.ids)) if log.sampled[i]]
    stop = (desk_chat.stop_ids[0],)
    expected = desk_chat.template.encode(CALL) + stop + desk_chat.template.encode("Done.") + stop
    assert tuple(sampled) == expected


def test_the_prompt_of_each_turn_is_the_ids_so_far_plus_a_suffix(desk_chat: Chat) -> None:
    prompts: list[tuple[int, ...]] = []

    def script(episode_id: str, turn: int, prompt_ids: Sequence[int]) -> Sequence[int]:
        prompts.append(tuple(prompt_ids))
        return (*desk_chat.template.encode([CALL, CALL, "Done."][turn]), desk_chat.stop_ids[0])

    rollout = Rollout(Functions(double), ScriptedEngine(script), desk_chat, RolloutConfig())
    (trajectory,) = asyncio.run(rollout.run([plan()]))
    (log,) = trajectory.token_logs
    for prompt, turn in zip(prompts, range(3), strict=True):
        assert log.ids[: log.sampled_span(turn).start] == prompt


def test_a_call_beyond_the_budget_is_recorded_but_not_run(desk_chat: Chat) -> None:
    ran: list[int] = []

    def double(n: int) -> int:
        """Twice the number."""
        ran.append(n)
        return 2 * n

    (trajectory,) = run_all(desk_chat, Functions(double), [CALL] * 9, [plan(max_calls=2)])
    assert trajectory.stop_reason == StopReason.MAX_CALLS
    assert len(ran) == 2
    assert sum(len(m.tool_calls) for m in trajectory.messages) == 3


def test_a_malformed_call_is_answered_and_the_episode_goes_on(desk_chat: Chat) -> None:
    broken = '<tool_call>\n{"name": "double", "arguments": {"n": \n</tool_call>'
    (trajectory,) = run_all(desk_chat, Functions(double), [broken, "Done."], [plan()])
    result = trajectory.messages[2].result
    assert result is not None
    assert result.error_class == "policy"
    assert trajectory.stop_reason == StopReason.DONE


def test_a_dead_server_voids_its_episode_and_no_other(desk_chat: Chat) -> None:
    taskset = Functions(double, broken=["b"])
    trajectories = run_all(desk_chat, taskset, [CALL, "Done."], [plan(n) for n in "abc"])
    assert [t.stop_reason for t in trajectories] == ["done", "infra", "done"]
    assert trajectories[1].outcome == Outcome(None, "the server is gone")
    assert voided(trajectories) == {"the server is gone": 1}
    assert [t.id for t in usable(trajectories)] == ["a", "c"]


def test_when_every_episode_is_void_the_rollout_fails_with_the_cause(desk_chat: Chat) -> None:
    taskset = Functions(double, broken=["a", "b"])
    with pytest.raises(InfraError, match="all 2 episodes are void, 2 because of: the server is"):
        run_all(desk_chat, taskset, [CALL], [plan("a"), plan("b")])


def test_a_slow_tool_ends_the_episode_by_timeout_not_as_infra(desk_chat: Chat) -> None:
    async def double(n: int) -> int:
        """Twice the number."""
        await asyncio.sleep(30)
        return 2 * n

    taskset = Functions(double)
    (trajectory,) = run_all(desk_chat, taskset, [CALL, "Done."], [plan()], episode_timeout_s=0.2)
    assert trajectory.stop_reason == StopReason.TIMEOUT
    assert trajectory.outcome.score == 0.0
    assert taskset.closed == 1


def test_a_turn_cut_by_length_is_ended_before_the_tool_answers(desk_chat: Chat) -> None:
    stop = desk_chat.stop_ids[0]
    length = len(desk_chat.template.encode(CALL))
    (trajectory,) = run_all(
        desk_chat, Functions(double), [CALL, "Done."], [plan()], max_new_tokens=length
    )
    (log,) = trajectory.token_logs
    end = log.turns[0].stop
    assert log.ids[end] == stop
    assert not log.sampled[end]


def test_calls_get_ids_by_turn_and_order(desk_chat: Chat) -> None:
    both = f"{CALL}\n{CALL}"
    (trajectory,) = run_all(desk_chat, Functions(double), [both, "Done."], [plan()])
    calls: tuple[ToolCall, ...] = trajectory.messages[1].tool_calls
    assert [call.id for call in calls] == ["call_0_0", "call_0_1"]
    assert [m.tool_call_id for m in trajectory.messages[2:4]] == ["call_0_0", "call_0_1"]
