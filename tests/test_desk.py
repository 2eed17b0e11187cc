"""The desk: its tools, its tasks, its expert, its demonstrations and the policy that ships."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentsd.chat import Chat
from agentsd.config import load_recipe
from agentsd.engines.scripted import ScriptedEngine
from agentsd.errors import ConfigError
from agentsd.interfaces import Env
from agentsd.review import review
from agentsd.rollout import Plan, Rollout
from agentsd.testing import check_taskset
from agentsd.types import Message, Task, ToolCall, Trajectory
from agentsd_critics.rules import critic
from agentsd_envs.desk import DeskTaskset, policy, recipe, taskset
from agentsd_envs.desk.build import desk_tools
from agentsd_envs.desk.demos import demonstration
from agentsd_envs.desk.expert import Step, perform, solved_state, steps
from agentsd_envs.desk.flaws import FLAWS, OTHER_NAMES
from agentsd_envs.desk.measure import measure
from agentsd_envs.desk.tasks import SLACK, desk_tasks
from agentsd_envs.desk.world import world_from

DESK: DeskTaskset = taskset(count=60)


def test_it_offers_eight_tools_with_schemas() -> None:
    tools = {tool.name: tool for tool in desk_tools()}
    assert len(tools) == 8
    assert tools["add_event"].input_schema["required"] == ["day", "hour", "title"]
    assert tools["add_event"].input_schema["properties"]["day"]["enum"][0] == "mon"
    assert set(OTHER_NAMES) == set(tools)
    assert not set(OTHER_NAMES.values()) & set(tools)


def test_the_same_split_holds_the_same_tasks_and_no_prompt_is_in_both() -> None:
    train, test = desk_tasks("train", 360), desk_tasks("test", 360)
    assert desk_tasks("train", 360) == train
    prompts = [task.prompt for task in train + test]
    assert len(set(prompts)) == 720
    assert Counter(task.data["level"] for task in train) == {1: 120, 2: 120, 3: 120}


def test_unknown_splits_and_levels_are_refused() -> None:
    with pytest.raises(ConfigError, match="no split 'dev'"):
        DESK.tasks("dev")
    with pytest.raises(ConfigError, match="levels must be some of"):
        taskset(levels=[4])


@pytest.mark.parametrize("task", desk_tasks("test", 30), ids=lambda task: task.id)
def test_the_expert_needs_the_budget_less_the_slack(task: Task) -> None:
    world, run, count = world_from(task.data["world"]), steps(task), 1
    step = next(run)
    while True:
        try:
            step = run.send(perform(world, step))
            count += 1
        except StopIteration:
            break
    assert task.max_calls == count + SLACK
    assert world.state() == solved_state(task) != world_from(task.data["world"]).state()


async def play(env: Env, messages: Sequence[Message]) -> list[str]:
    """Make the assistant's calls of a conversation; the contents of the results."""
    await env.open()
    calls = [call for message in messages for call in message.tool_calls]
    results = [(await env.call(call)).content for call in calls]
    await env.close()
    return results


def test_a_demonstration_shows_what_the_environment_really_answers() -> None:
    tools, rng = desk_tools(), random.Random(0)
    for task in DESK.tasks("train")[:20]:
        messages = demonstration(task, tools, rng)
        shown = [message.content for message in messages if message.role == "tool"]
        assert asyncio.run(play(DESK.env(task), messages)) == shown


def test_every_flaw_is_found_by_the_rules_under_its_category_and_hinted_in_its_words() -> None:
    tools, task = desk_tools(), DESK.tasks("train")[0]
    step = {
        "T01": Step("read_note", {"name": "plan"}),
        "T03": Step("add_event", {"day": "mon", "hour": 9, "title": "demo"}),
        "T04": Step("list_events", {"day": "mon"}),
        "T05": Step("send_message", {"to": "c-555", "text": "hi"}),
    }
    for flaw in FLAWS:
        made = flaw.spoil(step[flaw.category])
        call = ToolCall("c", made.tool, str(dict(made.arguments)), made.arguments)
        messages = (Message("user", task.prompt), Message("assistant", "", tool_calls=(call,)))
        run = Trajectory("t", "t", "desk", tuple(tools), messages)
        (found,) = asyncio.run(review([run], [critic()]))
        assert found.category == flaw.category
        assert found.hint == flaw.hint(tools, step[flaw.category].tool)


def test_it_keeps_the_promises_of_an_environment() -> None:
    assert asyncio.run(check_taskset(DESK, "test", 2)) == []


def test_the_expert_through_an_engine_succeeds_on_every_task(desk_chat: Chat) -> None:
    tasks = {task.id: task for task in DESK.tasks("test")[:12]}
    scripts = {id_: _flawless(task) for id_, task in tasks.items()}

    def script(episode_id: str, turn: int, prompt_ids: Sequence[int]) -> Sequence[int]:
        return (*desk_chat.template.encode(scripts[episode_id][turn]), desk_chat.stop_ids[0])

    cfg = load_recipe(recipe()).rollout
    rollout = Rollout(DESK, ScriptedEngine(script), desk_chat, cfg, "desk")
    runs = asyncio.run(rollout.run([Plan(id_, task, 0) for id_, task in tasks.items()]))
    assert [run.outcome.score for run in runs] == [1.0] * 12
    assert asyncio.run(review(runs, [critic()])) == []


def _flawless(task: Task) -> list[str]:
    """The expert's turns as the policy would write them."""
    world, run = world_from(task.data["world"]), steps(task)
    texts, step = [], next(run)
    while True:
        call = {"name": step.tool, "arguments": dict(step.arguments)}
        texts.append(f"<tool_call>\n{json.dumps(call)}\n</tool_call>")
        try:
            step = run.send(perform(world, step))
        except StopIteration:
            return [*texts, "Done."]


def test_the_policy_is_small_and_loads_with_the_auto_classes() -> None:
    size = sum(path.stat().st_size for path in policy().iterdir())
    assert size <= 4 * 2**20
    model = AutoModelForCausalLM.from_pretrained(policy())
    tokenizer = AutoTokenizer.from_pretrained(policy())
    assert model.config.model_type == "qwen3"
    assert 0.7e6 < model.num_parameters() < 1.3e6
    assert tokenizer.chat_template


@pytest.mark.slow
def test_the_policy_errs_in_a_fifth_to_two_fifths_of_its_calls_and_obeys_hints() -> None:
    result = asyncio.run(measure(load_recipe(recipe()), episodes=90))
    assert 0.20 <= result["errors_per_call"]["share"] <= 0.40
    assert result["obedience_overall"]["share"] >= 0.95
    shares = {category: found["share"] for category, found in result["by_category"].items()}
    kinds = [c for c in ("T01", "T03", "T04", "T05") if shares.get(c, 0.0) > 0.01]
    assert len(kinds) >= 3
