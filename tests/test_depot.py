"""The depot: its tools, its tasks, its expert, its slips and the critic that finds them."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from agentsd.chat import Chat
from agentsd.config import RolloutConfig
from agentsd.engines.scripted import ScriptedEngine
from agentsd.errors import ConfigError
from agentsd.failures import is_failure
from agentsd.interfaces import Env
from agentsd.review import review
from agentsd.rollout import Plan, Rollout
from agentsd.selection import select
from agentsd.testing import check_taskset
from agentsd.tools.env import probe_taskset
from agentsd.types import Message, Task, ToolCall, ToolResult, Trajectory
from agentsd_critics import rules
from agentsd_envs.depot import DepotTaskset, taskset
from agentsd_envs.depot.critic import critic, jobs_of, slips_of
from agentsd_envs.depot.demos import answer, demonstration
from agentsd_envs.depot.expert import FORGET, Mind, Step, perform, solved_state, steps
from agentsd_envs.depot.flaws import FLAWS
from agentsd_envs.depot.tasks import SLACK, depot_tasks, endless_tasks
from agentsd_envs.depot.world import Bin, DepotError, World, world_from

DEPOT: DepotTaskset = taskset(count=60)
TOOLS = ("borrow_key", "return_key", "open_bin", "close_bin")
TOOLS += ("read_bin", "fill_bin", "take_out", "log_count")

Slips = Callable[[Step], str | None]
"""Which slip is made at a step, if any."""


def small_world() -> World:
    bins = {"tea": Bin(30, 80, "Mia"), "rent": Bin(40, 90, "Mia"), "fuel": Bin(50, 70, "Noah")}
    return World(bins, keys={"Mia": "k-300", "Noah": "k-400"})


def mia_opens(*names: str) -> World:
    world = small_world()
    world.borrow_key("Mia")
    for name in names:
        world.open_bin(name, "k-300")
    return world


def worked(task: Task, slips: Slips) -> tuple[World, Trajectory, list[tuple[int, str]]]:
    """What the expert does who makes these slips, and the turns in which they are made."""
    world, mind = world_from(task.data["world"]), Mind(list(task.data["jobs"]))
    messages, made = [Message("user", task.prompt)], list[tuple[int, str]]()
    for turn in itertools.count():
        step = mind.step()
        slip = step and slips(step)
        if step and slip:
            made.append((turn, slip))
            mind.make_slip(slip, step)
            step = step.slips[slip]
        if step is None:
            break
        result = answer(step, world)
        mind.saw(step, result)
        call = ToolCall(f"c{turn}", step.tool, json.dumps(dict(step.arguments)), step.arguments)
        reply = ToolResult(call.id, result, is_error=result.startswith("Error"))
        messages += [
            Message("assistant", "", tool_calls=(call,)),
            Message("tool", result, tool_call_id=call.id, result=reply),
        ]
    messages.append(Message("assistant", "Done."))
    return world, Trajectory("t", task.id, "depot", (), tuple(messages)), made


def called(trajectory: Trajectory) -> list[str]:
    return [call.name for message in trajectory.messages for call in message.tool_calls]


def task_of(*jobs: tuple[str, str]) -> Task:
    """Jobs of Mia in the small world."""
    data = {
        "jobs": [{"person": "Mia", "verb": verb, "bin": name} for verb, name in jobs],
        "world": {
            "bins": {name: {"count": 30, "room": 80, "keeper": "Mia"} for name in ("tea", "rent")},
            "keys": {"Mia": "k-300"},
        },
    }
    said = ", ".join(f"{verb} #{name}" for verb, name in jobs)
    return Task("t", f"Key of @Mia: {said}.", data)


# --- the world -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "act", "refusal"),
    [
        (small_world(), lambda w: w.open_bin("tea", "k-300"), "k-300 is not borrowed"),
        (mia_opens(), lambda w: w.read_bin("tea"), "tea is locked"),
        (mia_opens(), lambda w: w.open_bin("fuel", "k-300"), "k-300 does not fit fuel"),
        (mia_opens(), lambda w: w.borrow_key("Noah"), "return k-300 first"),
        (mia_opens("tea"), lambda w: w.return_key("k-300"), "close tea first"),
        (mia_opens("tea"), lambda w: w.open_bin("tea", "k-300"), "tea is open already"),
        (mia_opens("tea"), lambda w: w.take_out("tea", 31), "tea holds less"),
        (mia_opens("tea"), lambda w: w.fill_bin("rent"), "rent is locked"),
        (mia_opens("tea"), lambda w: w.close_bin("gold"), "no bin gold"),
    ],
)
def test_the_depot_refuses_what_is_out_of_order(
    world: World, act: Callable[[World], str], refusal: str
) -> None:
    before = world.state()
    with pytest.raises(DepotError, match=f"^{refusal}$"):
        act(world)
    assert world.state() == before


def test_filling_makes_what_was_read_before_untrue() -> None:
    world = mia_opens("tea")
    assert world.read_bin("tea") == "30"
    assert world.fill_bin("tea") == "filled"
    assert world.read_bin("tea") == "80"


# --- tasks and expert ------------------------------------------------------------------------


def test_it_offers_eight_tools_and_keeps_the_promises_of_an_environment() -> None:
    assert tuple(spec.name for spec in asyncio.run(probe_taskset(DEPOT))) == TOOLS
    calls = [
        ToolCall(
            "a", "borrow_key", "", {"person": DEPOT.tasks("test")[0].data["jobs"][0]["person"]}
        ),
        ToolCall("b", "return_key", "", {"key": "k-1"}),
    ]
    assert asyncio.run(check_taskset(DEPOT, "test", 2, calls)) == []


def test_the_same_split_holds_the_same_tasks_and_no_prompt_is_in_both() -> None:
    train, test = depot_tasks("train", 450), depot_tasks("test", 450)
    assert depot_tasks("train", 450) == train
    assert len({task.prompt for task in train + test}) == 900
    assert Counter(task.data["level"] for task in train) == {1: 150, 2: 150, 3: 150}


def test_unknown_splits_levels_and_too_many_tasks_are_refused() -> None:
    with pytest.raises(ConfigError, match="no split 'dev'"):
        DEPOT.tasks("dev")
    with pytest.raises(ConfigError, match="levels must be some of"):
        taskset(levels=[4])
    with pytest.raises(ConfigError, match="depot has 1 to 150 tasks"):
        depot_tasks("test", 151, levels=[1])
    with pytest.raises(ConfigError, match="got a count of 0"):
        taskset(count=0).tasks("test")


@pytest.mark.parametrize("task", depot_tasks("test", 30), ids=lambda task: task.id)
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
    assert world.state()["open"] == []
    assert world.state()["borrowed"] is None


def test_the_prompt_says_every_job() -> None:
    for task in depot_tasks("train", 60):
        assert jobs_of(task.prompt) == task.data["jobs"]


# --- slips -----------------------------------------------------------------------------------


def once(tool: str, slip: str = FORGET) -> Slips:
    """The slip at the first step with the tool in which it can be made."""
    left = [slip]
    return lambda step: left.pop() if left and step.tool == tool and slip in step.slips else None


def test_a_bin_left_open_is_refused_only_when_the_key_goes_back() -> None:
    task = task_of(("log", "tea"), ("log", "rent"))
    world, run, made = worked(task, once("close_bin"))
    # borrow, open tea, read, log, [close tea is forgotten] open rent, read, log, close rent, return
    assert made == [(4, "forget")]
    assert called(run)[4:9] == ["open_bin", "read_bin", "log_count", "close_bin", "return_key"]
    refused = [turn.index for turn in run.turns() if any(map(is_failure, turn.results))]
    assert refused == [8]
    assert world.state() == solved_state(task)


def test_a_remembered_count_is_never_refused_and_costs_the_task() -> None:
    task = task_of(("log", "tea"), ("fill", "tea"), ("log", "tea"))
    world, run, made = worked(task, once("read_bin"))
    # borrow, open, read, log, fill, [the second reading is left out] log, close, return
    assert made == [(5, "forget")]
    assert "Error" not in "".join(message.content for message in run.messages)
    assert world.log == [("tea", 30), ("tea", 30)]
    assert solved_state(task)["log"] == [["tea", 30], ["tea", 80]]


def test_jobs_that_change_places_are_never_refused_and_cost_the_task() -> None:
    task = task_of(("log", "tea"), ("fill", "tea"))
    world, run, made = worked(task, once("read_bin", "swap"))
    assert made == [(2, "swap")]
    assert called(run)[2:5] == ["fill_bin", "read_bin", "log_count"]
    assert world.log == [("tea", 80)]
    assert world.state() != solved_state(task)


def test_an_answer_may_come_before_the_key_is_back() -> None:
    task = task_of(("fill", "tea"))
    world, run, made = worked(task, once("return_key"))
    assert made == [(4, "forget")]
    assert world.borrowed == "k-300"
    (found,) = slips_of(run)
    assert (found.turn, found.call_index, found.category, found.quote) == (4, None, "T16", "Done.")


def test_every_flaw_applies_somewhere_and_its_hint_names_no_value_of_the_task() -> None:
    met = Counter[int]()
    for task in depot_tasks("train", 60):
        values = {*task.data["world"]["bins"], *task.data["world"]["keys"]}

        def note(step: Step, values: set[str] = values) -> None:
            for number, flaw in enumerate(FLAWS):
                if flaw.applies(step):
                    met[number] += 1
                    assert flaw.spoil(step) != step
                    words = set(flaw.hint((), step.tool).replace(".", "").split())
                    assert not words & values

        worked(task, note)
    assert sorted(met) == list(range(len(FLAWS)))


# --- the critic ------------------------------------------------------------------------------


def at_random(rng: random.Random) -> tuple[Slips, list[str]]:
    """Slips at the flaws' rates, and the categories of those that were made."""
    categories: list[str] = []

    def choose(step: Step) -> str | None:
        for flaw in FLAWS:
            if flaw.applies(step) and rng.random() < flaw.rate:
                categories.append(flaw.category)
                return flaw.slip
        return None

    return choose, categories


def test_the_critic_finds_every_slip_where_it_was_made_and_nothing_else() -> None:
    rng = random.Random(3)
    total = Counter[str]()
    for task in itertools.islice(endless_tasks("train", seed=3), 300):
        slips, categories = at_random(rng)
        _, run, made = worked(task, slips)
        wanted = [(turn, category) for (turn, _), category in zip(made, categories, strict=True)]
        assert [(f.turn, f.category) for f in slips_of(run)] == wanted, task.prompt
        total.update(categories)
    assert min(total[category] for category in ("T06", "T08", "T16")) >= 20


def test_neither_the_critic_nor_the_rules_blame_the_expert() -> None:
    for task in depot_tasks("test", 60):
        _, run, _ = worked(task, lambda step: None)
        assert asyncio.run(review([run], [critic(), rules.critic()])) == []


def test_the_rules_blame_the_refused_call_where_the_critic_blames_the_forgotten_one() -> None:
    _, run, _ = worked(task_of(("log", "tea"), ("log", "rent")), once("close_bin"))
    (symptom,) = asyncio.run(review([run], [rules.critic()]))
    (cause,) = asyncio.run(review([run], [critic()]))
    assert (symptom.turn, symptom.category) == (8, "T08")
    assert (cause.turn, cause.category, cause.quote) == (4, "T08", "open_bin")
    assert "close_bin" in cause.hint


def with_call(
    run: Trajectory, turn: int, name: str, arguments: dict[str, object], result: str
) -> Trajectory:
    """The run with a call and its result put in before a turn."""
    at = run.turns()[turn].message_index
    call = ToolCall("x", name, json.dumps(arguments), arguments)
    put = (
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", result, result=ToolResult("x", result, is_error=result.startswith("Err"))),
    )
    return Trajectory("t", "t", "depot", (), (*run.messages[:at], *put, *run.messages[at:]))


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("read_bin", {"name": "tea"}, "30"),
        ("read_bin", {"name": "rent"}, "Error: rent is locked"),
        ("count_bin", {"name": "tea"}, "Error: unknown tool count_bin"),
        ("read_bin", {"name": "tea"}, "what a depot never says"),
    ],
)
def test_calls_that_no_slip_explains_are_not_blamed_on_a_slip(
    name: str, arguments: dict[str, object], result: str
) -> None:
    _, run, _ = worked(task_of(("log", "tea")), lambda step: None)
    odd = with_call(run, 3, name, arguments, result)
    assert [found.category for found in slips_of(odd)] == []


def test_it_says_nothing_of_slips_where_the_user_asks_for_something_else() -> None:
    call = ToolCall("c", "borrow_key", "{}", {})
    messages = (Message("user", "Hello."), Message("assistant", "", tool_calls=(call,)))
    assert list(slips_of(Trajectory("t", "t", "depot", (), messages))) == []


# --- through the framework -------------------------------------------------------------------


async def play(env: Env, messages: Sequence[Message]) -> list[str]:
    """Make the assistant's calls of a conversation; the contents of the results."""
    await env.open()
    calls = [call for message in messages for call in message.tool_calls]
    results = [(await env.call(call)).content for call in calls]
    await env.close()
    return results


def test_a_demonstration_shows_what_the_environment_really_answers() -> None:
    rng = random.Random(0)
    for task in DEPOT.tasks("train")[:20]:
        messages = demonstration(task, (), rng)
        shown = [message.content for message in messages if message.role == "tool"]
        assert asyncio.run(play(DEPOT.env(task), messages)) == shown


def test_a_hint_in_a_demonstration_is_obeyed() -> None:
    rng, asked, broken = random.Random(0), 0, 0
    for task in itertools.islice(endless_tasks("train", seed=5), 200):
        messages = demonstration(task, (), rng)
        for before, after in itertools.pairwise(messages):
            if before.role == "user" and before.content.startswith("Call "):
                due = before.content.split()[1]
                asked += 1
                broken += [call.name for call in after.tool_calls] != [due]
    assert asked > 100
    assert broken == 0


def written(call: ToolCall) -> str:
    """The call as the policy would write it."""
    return (
        f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.raw_arguments}}}\n</tool_call>'
    )


def test_slips_become_branches_of_one_name_or_one_answer(desk_chat: Chat) -> None:
    tasks = {task.id: task for task in DEPOT.tasks("test")[:24]}
    rng, scripts = random.Random(1), dict[str, list[str]]()
    for id_, task in tasks.items():
        _, run, _ = worked(task, at_random(rng)[0])
        calls = [call for message in run.messages for call in message.tool_calls]
        scripts[id_] = [*map(written, calls), "Done."]

    def script(episode_id: str, turn: int, prompt_ids: Sequence[int]) -> Sequence[int]:
        return (*desk_chat.template.encode(scripts[episode_id][turn]), desk_chat.stop_ids[0])

    rollout = Rollout(DEPOT, ScriptedEngine(script), desk_chat, RolloutConfig(), "depot")
    runs = asyncio.run(rollout.run([Plan(id_, task, 0) for id_, task in tasks.items()]))
    findings = asyncio.run(review(runs, [critic()]))
    selection = select(runs, findings, desk_chat, "user")
    assert selection.rejections == ()
    assert sum(len(example.candidates) for example in selection.examples) == len(findings) > 20
    assert {run.outcome.score for run in runs} == {0.0, 1.0}
