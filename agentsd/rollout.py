"""Run the policy in environments: episodes in parallel, one trajectory each.

Tokens are recorded as the engine saw and sampled them; a dead server voids its episode and nothing
else. Knows nothing of critics, hints or training.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agentsd.chat import Chat
from agentsd.config import RolloutConfig
from agentsd.errors import InfraError
from agentsd.interfaces import Engine, Env, Sampler, Taskset
from agentsd.sampling import Completion, SamplingParams
from agentsd.seeds import derive_seed
from agentsd.tokenlog import LogBuilder
from agentsd.types import Message, Outcome, StopReason, Task, ToolCall, ToolSpec, Trajectory


@dataclass(frozen=True, slots=True)
class Plan:
    """One episode to be run."""

    id: str
    task: Task
    seed: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """What every episode needs."""

    taskset: Taskset
    engine: Engine
    chat: Chat
    cfg: RolloutConfig
    env_name: str = ""

    async def run(
        self, plans: Sequence[Plan], on_done: Callable[[Trajectory], None] = lambda _: None
    ) -> list[Trajectory]:
        """Run all episodes; ``on_done`` gets each trajectory as it ends. Returns them in order.

        Raises ``InfraError`` when every episode is void: then nothing works.
        """
        room = asyncio.Semaphore(self.cfg.concurrency)

        async def one(plan: Plan) -> Trajectory:
            async with room:
                trajectory = await self._episode(plan)
            on_done(trajectory)
            return trajectory

        async with asyncio.TaskGroup() as group:
            running = [group.create_task(one(plan)) for plan in plans]
        trajectories = [task.result() for task in running]
        _refuse_all_void(trajectories)
        return trajectories

    async def _episode(self, plan: Plan) -> Trajectory:
        """One episode, void when its infrastructure fails."""
        env = self.taskset.env(plan.task)
        episode = _Episode(plan, env, self.chat, self.cfg)
        started = time.monotonic()
        outcome = None
        try:
            async with self.engine.episode(plan.id) as sampler:
                try:
                    async with asyncio.timeout(self.cfg.episode_timeout_s):
                        await episode.run(sampler)
                except TimeoutError:
                    episode.stop = StopReason.TIMEOUT
            outcome = await env.grade(episode.trajectory(self.env_name))
        except InfraError as error:
            episode.stop, outcome = StopReason.INFRA, Outcome(None, f"{error}")
        finally:
            await env.close()
        trajectory = episode.trajectory(self.env_name)
        seconds = {"episode_s": time.monotonic() - started}
        return replace(trajectory, outcome=outcome or Outcome(), timings=seconds)


@dataclass(slots=True)
class _Episode:
    """The state of one episode; grows append-only."""

    plan: Plan
    env: Env
    chat: Chat
    cfg: RolloutConfig
    messages: list[Message] = field(default_factory=list[Message])
    tools: Sequence[ToolSpec] = ()
    log: LogBuilder = field(default_factory=LogBuilder)
    num_calls: int = 0
    version: str = ""
    stop: StopReason = StopReason.MAX_TURNS

    async def run(self, sampler: Sampler) -> None:
        """Open the environment and take turns until something ends the episode."""
        self.messages.extend(await self.env.open())
        self.tools = tuple(self.env.tools)
        self.log.add_prompt(self.chat.open(self.messages, self.tools))
        for turn in range(self.cfg.max_turns):
            stop = await self._turn(sampler, turn)
            if stop is not None:
                self.stop = stop
                return

    async def _turn(self, sampler: Sampler, turn: int) -> StopReason | None:
        """Sample one assistant message and run its calls. Returns why to stop, if so."""
        header = self.chat.header()
        prompt = self.log.prompt(header)
        room = self.cfg.max_tokens - len(prompt)
        if room < 1:
            return StopReason.MAX_TOKENS
        completion = await sampler.sample(prompt, self._params(turn, room))
        calls = self._record(header, completion, turn)
        if not calls:
            ended = completion.finish_reason == "stop"
            return StopReason.DONE if ended else StopReason.MAX_TOKENS
        return await self._run_calls(calls, completion)

    def _params(self, turn: int, room: int) -> SamplingParams:
        return SamplingParams(
            max_tokens=min(self.cfg.max_new_tokens, room),
            temperature=self.cfg.temperature,
            top_p=self.cfg.top_p,
            seed=derive_seed(self.plan.seed, turn),
            stop_ids=self.chat.stop_ids,
        )

    def _record(
        self, header: Sequence[int], completion: Completion, turn: int
    ) -> tuple[ToolCall, ...]:
        self.log.add_turn(header, completion)
        self.version = self.version or completion.version
        parsed = self.chat.read(completion.ids, turn, self.tools)
        message = Message(
            "assistant", parsed.content, parsed.tool_calls, reasoning=parsed.reasoning
        )
        self.messages.append(message)
        return parsed.tool_calls

    async def _run_calls(
        self, calls: Sequence[ToolCall], completion: Completion
    ) -> StopReason | None:
        """Run calls in order while the budget lasts; a call beyond it is recorded but not run."""
        budget = self.plan.task.max_calls
        replies: list[Message] = []
        for call in calls:
            if budget is not None and self.num_calls >= budget:
                self.messages.extend(replies)
                return StopReason.MAX_CALLS
            self.num_calls += 1
            result = await self.env.call(call)
            replies.append(Message("tool", result.content, tool_call_id=call.id, result=result))
        self.messages.extend(replies)
        ended = completion.ids[-1] in self.chat.stop_ids
        self.log.add_prompt(self.chat.suffix(ended, replies, calls, self.tools))
        return None

    def trajectory(self, env_name: str) -> Trajectory:
        """What has been recorded so far."""
        return Trajectory(
            id=self.plan.id,
            task_id=self.plan.task.id,
            env=env_name,
            tools=tuple(self.tools),
            messages=tuple(self.messages),
            token_logs=(self.log.log(),),
            stop_reason=self.stop,
            policy_version=self.version,
            seed=self.plan.seed,
        )


def voided(trajectories: Sequence[Trajectory]) -> Counter[str]:
    """Episodes that infrastructure ended, by cause."""
    return Counter(t.outcome.reason for t in trajectories if t.stop_reason == StopReason.INFRA)


def usable(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """The trajectories that may be counted and learned from: infrastructure did not end them."""
    return [t for t in trajectories if t.stop_reason != StopReason.INFRA]


def _refuse_all_void(trajectories: Sequence[Trajectory]) -> None:
    causes = voided(trajectories)
    if trajectories and causes.total() == len(trajectories):
        cause, count = causes.most_common(1)[0]
        raise InfraError(f"all {len(trajectories)} episodes are void, {count} because of: {cause}")
