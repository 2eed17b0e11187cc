"""What the rollout driver costs: turns per second beside a bare loop that makes the same calls.

    python benchmarks/rollout.py                 256 episodes of the desk at once
    python benchmarks/rollout.py --env depot     longer episodes, smaller results

The engine answers at once with the expert's turns, written beforehand; so the driver's own work is
all that is left: rendering, tokens, parsing, recording. The bare loop opens the same environments,
makes the same calls, grades and closes them, in one task an episode, and knows nothing of tokens.
Every repeat runs both one after the other, in alternating order, and a ratio is taken within its
repeat. Times are CPU seconds of this process, which holds the servers too, so that a busy machine
hardly counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import AutoTokenizer

from agentsd.chat import Chat
from agentsd.config import RolloutConfig
from agentsd.engines.scripted import ScriptedEngine
from agentsd.interfaces import Taskset
from agentsd.rollout import Plan, Rollout
from agentsd.types import Message, Task, ToolCall, Trajectory
from agentsd_envs import depot, desk
from agentsd_envs.depot import expert as depot_expert
from agentsd_envs.depot import world as depot_world
from agentsd_envs.desk import expert as desk_expert
from agentsd_envs.desk import world as desk_world

ENVS = ("desk", "depot")


@dataclass(frozen=True, slots=True)
class Work:
    """What both variants do: episodes whose calls are known."""

    taskset: Taskset
    plans: Sequence[Plan]
    calls: Sequence[Sequence[ToolCall]]
    turns: dict[str, list[tuple[int, ...]]]
    """By episode id: what the engine says, stop token included."""

    @property
    def num_calls(self) -> int:
        return sum(map(len, self.calls))


def expert_calls(name: str, task: Task) -> list[ToolCall]:
    """The calls that solve the task."""
    expert: Any = desk_expert if name == "desk" else depot_expert
    world: Any = (desk_world if name == "desk" else depot_world).world_from(task.data["world"])
    run, calls = expert.steps(task), list[ToolCall]()
    step = next(run)
    while True:
        raw = json.dumps(dict(step.arguments))
        calls.append(ToolCall(f"call_{len(calls)}_0", step.tool, raw, step.arguments))
        try:
            step = run.send(expert.perform(world, step))
        except StopIteration:
            return calls


def prepare(name: str, episodes: int, chat: Chat) -> Work:
    """Tasks of the highest level, the expert's calls, and the tokens that write them."""
    taskset: Taskset = (desk if name == "desk" else depot).taskset(levels=(3,))
    tasks = taskset.tasks("train")
    plans = [Plan(f"e{i}", tasks[i % len(tasks)], i) for i in range(episodes)]
    calls = [expert_calls(name, plan.task) for plan in plans]
    turns = {
        plan.id: [
            (*chat.template.encode(text), chat.stop_ids[0])
            for text in [*(written(call) for call in own), "Done."]
        ]
        for plan, own in zip(plans, calls, strict=True)
    }
    return Work(taskset, plans, calls, turns)


def written(call: ToolCall) -> str:
    """The call as the policy writes it."""
    return (
        f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.raw_arguments}}}\n</tool_call>'
    )


async def drive(work: Work, chat: Chat, concurrency: int) -> list[float | None]:
    """The episodes through the rollout driver; their scores."""

    def script(episode_id: str, turn: int, prompt_ids: Sequence[int]) -> Sequence[int]:
        return work.turns[episode_id][turn]

    cfg = RolloutConfig(concurrency=concurrency)
    rollout = Rollout(work.taskset, ScriptedEngine(script), chat, cfg, "bench")
    return [trajectory.outcome.score for trajectory in await rollout.run(work.plans)]


async def bare(work: Work, concurrency: int) -> list[float | None]:
    """The same calls in the same environments and nothing else; the scores."""
    room = asyncio.Semaphore(concurrency)

    async def episode(plan: Plan, calls: Sequence[ToolCall]) -> float | None:
        async with room:
            env = work.taskset.env(plan.task)
            try:
                messages = [*await env.open()]
                for call in calls:
                    result = await env.call(call)
                    messages.append(Message("tool", result.content, result=result))
                run = Trajectory(plan.id, plan.task.id, "bench", (), tuple(messages))
                outcome = await env.grade(run)
            finally:
                await env.close()
            return outcome.score if outcome else None

    async with asyncio.TaskGroup() as group:
        jobs = zip(work.plans, work.calls, strict=True)
        running = [group.create_task(episode(plan, calls)) for plan, calls in jobs]
    return [task.result() for task in running]


def cpu_seconds(job: Callable[[], Coroutine[Any, Any, list[float | None]]]) -> float:
    """CPU time of the job. Raises ``SystemExit`` unless every episode succeeds."""
    gc.collect()
    gc.freeze()  # what is loaded already is not searched for garbage again and again
    start = time.process_time()
    scores = asyncio.run(job())
    seconds = time.process_time() - start
    if set(scores) != {1.0}:
        raise SystemExit(f"not every episode succeeded: {set(scores)}")
    return seconds


def measure(work: Work, chat: Chat, concurrency: int, repeats: int) -> dict[str, list[float]]:
    """CPU seconds of both variants in each repeat; the first round warms up and is dropped."""
    jobs = {
        "bare": lambda: bare(work, concurrency),
        "driver": lambda: drive(work, chat, concurrency),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for name in jobs if repeat % 2 else reversed(jobs):
            seconds[name].append(cpu_seconds(jobs[name]))
    return {name: measured[1:] for name, measured in seconds.items()}


def print_table(work: Work, seconds: dict[str, list[float]]) -> None:
    """One line for each variant."""
    rows = {name: [work.num_calls / each for each in own] for name, own in seconds.items()}
    print(f"{'variant':<9}{'turns per CPU second':>22}   {'ratio to bare':<24}")
    print(f"{'':<9}{'median':>22}   {'min':>7}{'median':>8}{'max':>8}")
    for name, rates in rows.items():
        ratios = [a / b for a, b in zip(rates, rows["bare"], strict=True)]
        spread = f"{min(ratios):>7.3f}{statistics.median(ratios):>8.3f}{max(ratios):>8.3f}"
        print(f"{name:<9}{statistics.median(rates):>22.0f}   {spread}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", choices=ENVS, default="desk")
    parser.add_argument("--episodes", type=int, default=256)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    chat = Chat.from_tokenizer(AutoTokenizer.from_pretrained(desk.policy()))
    work = prepare(options.env, options.episodes, chat)
    print(
        f"{options.env}: {len(work.plans)} episodes, {options.concurrency} at once, "
        f"{work.num_calls} calls, {options.repeats} repeats\n"
    )
    print_table(work, measure(work, chat, options.concurrency, options.repeats))


if __name__ == "__main__":
    main()
