"""Conformance checks that the author of an environment runs over a taskset.

Knows nothing of any environment: what it learns, it learns through ``Env`` and ``Taskset``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsd.errors import ConfigError
from agentsd.interfaces import Env, Taskset
from agentsd.schemas import check_schema, first_schema_error
from agentsd.types import Message, Task, ToolCall, ToolResult, ToolSpec

NO_TOOL = "agentsd_no_such_tool"
STEP_S = 60.0
"""How long any one step of an environment may take."""


async def check_taskset(
    taskset: Taskset, split: str = "train", count: int = 2, calls: Sequence[ToolCall] = ()
) -> list[str]:
    """What is wrong with the environments of the first ``count`` tasks; empty when all is well.

    ``calls`` are right calls that change state and read it back. They are run in one episode and
    then in a second one that is open beside it: both must answer alike.
    """
    tasks = taskset.tasks(split)
    problems = [
        f"task id {task_id!r} is used {times} times"
        for task_id, times in Counter(task.id for task in tasks).items()
        if times > 1
    ]
    for task in tasks[:count]:
        found = await _check_task(taskset, task, calls)
        problems += [f"task {task.id}: {problem}" for problem in found]
    return problems


async def _check_task(taskset: Taskset, task: Task, calls: Sequence[ToolCall]) -> list[str]:
    """Two episodes of one task, side by side; the first ends while the second goes on."""
    first, second = _Episode(taskset.env(task)), _Episode(taskset.env(task))
    try:
        if not await first.open() or not await second.open():
            return first.problems + second.problems
        await first.check_refusals()
        answers = [await first.answer(call) for call in calls]
        beside = [await second.answer(call) for call in calls]
        second.problems += _differences(calls, answers, beside)
        await first.close()
        await second.check_refusals()
    finally:
        await first.close()
        await second.close()
    return list(dict.fromkeys(first.problems + second.problems))


def _differences(
    calls: Sequence[ToolCall],
    first: Sequence[ToolResult | None],
    second: Sequence[ToolResult | None],
) -> Iterator[str]:
    for call, one, other in zip(calls, first, second, strict=True):
        if one is not None and other is not None and one.content != other.content:
            yield (
                f"{call.name} answers differently in a second episode: episodes share state, "
                f"or the tool is not deterministic"
            )


@dataclass(slots=True)
class _Episode:
    """An environment under test and what was found wrong with it."""

    env: Env
    problems: list[str] = field(default_factory=list[str])

    async def open(self) -> bool:
        """Whether the environment gave messages and tools that can be used."""
        messages = await self._step("open", self.env.open())
        if messages is None:
            return False
        if not any(isinstance(m, Message) and m.role == "user" for m in messages):
            self.problems.append("open gave no user message")
        specs = self.env.tools
        if not specs:
            self.problems.append("it offers no tools")
        for name, times in Counter(spec.name for spec in specs).items():
            if times > 1:
                self.problems.append(f"{times} tools are named {name!r}")
        for spec in specs:
            try:
                check_schema(spec.name, spec.input_schema)
            except ConfigError as error:
                self.problems.append(str(error))
        return not self.problems

    async def check_refusals(self) -> None:
        """Wrong calls must be answered with a value, and the answer must say whose fault it is."""
        name = self.env.tools[0].name
        wrong = {
            "an unknown tool": ToolCall("check-unknown", NO_TOOL, "{}", {}),
            "a malformed call": ToolCall("check-malformed", name, "{", None, "the JSON ends early"),
        }
        for spec in self.env.tools:
            if (arguments := _wrong_arguments(spec)) is not None:
                wrong["arguments that break the schema"] = ToolCall(
                    "check-schema", spec.name, "{}", arguments
                )
                break
        for what, call in wrong.items():
            result = await self.answer(call)
            if result is not None and not (result.is_error and result.error_class == "policy"):
                self.problems.append(
                    f"{what} must give is_error and error_class 'policy', "
                    f"got {result.is_error} and {result.error_class!r}"
                )

    async def answer(self, call: ToolCall) -> ToolResult | None:
        """The result of a call, or None when there is none."""
        result = await self._step(f"call {call.name}", self.env.call(call))
        if result is not None and result.call_id != call.id:
            self.problems.append(f"call {call.name}: the result has the id {result.call_id!r}")
        return result

    async def close(self) -> None:
        """Close the environment; it is asked twice, because close must be idempotent."""
        await self._step("close", self.env.close())
        await self._step("a second close", self.env.close())

    async def _step(self, what: str, step: Awaitable[Any]) -> Any:
        """What the step gave, or None and a problem when it raised or took too long."""
        try:
            async with asyncio.timeout(STEP_S):
                return await step
        except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
            reason = str(error) or f"took more than {STEP_S:g} s"
            self.problems.append(f"{what} raised {type(error).__name__}: {reason}")
            return None


def _wrong_arguments(spec: ToolSpec) -> Mapping[str, Any] | None:
    """Arguments that break the tool's schema, or None when it takes anything."""
    named = {name: {"agentsd": [None]} for name in spec.input_schema.get("properties", {})}
    candidates: list[dict[str, Any]] = [{}, {NO_TOOL: 1}, named]
    errors = ((each, first_schema_error(spec, each)) for each in candidates)
    # A tool may take more than it offers: only what is missing or wrong must be refused.
    return next((each for each, error in errors if error and error.kind != "unexpected"), None)
