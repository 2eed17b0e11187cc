"""An environment made of tools: refuses a wrong call, runs a right one, caps the reply.

Knows nothing of where the tools come from nor of how a trajectory is judged: both are passed in.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace

from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import Taskset, Tool
from agentsd.schemas import check_schema, first_schema_error
from agentsd.tools.results import MAX_RESULT_BYTES, MIN_RESULT_BYTES, capped, refused
from agentsd.types import Message, Outcome, Task, ToolCall, ToolResult, ToolSpec, Trajectory

ToolSource = AbstractAsyncContextManager[Sequence[Tool]]
"""Gives the tools of one episode; leaving it releases what they use."""

Grade = Callable[[Trajectory], Awaitable[Outcome | None]]
"""Judges the final state of one episode; None leaves it unscored."""

Verdict = Outcome | float | None
TaskGrade = Callable[[Task, Trajectory], Awaitable[Verdict] | Verdict]
"""What authors write: sync or async, an ``Outcome``, a plain score, or None."""

CLOSE_S = 15.0
"""How long leaving a tool source may take."""


class ToolEnv:
    """Implements ``Env`` over any source of tools.

    ``Error: unknown tool NAME``, ``Error: call is not valid: PROBLEM`` and the one-line schema
    error are values of class ``policy``; the tool never sees such calls.
    """

    def __init__(
        self,
        source: ToolSource,
        messages: Sequence[Message],
        *,
        grade: Grade | None = None,
        max_result_bytes: int = MAX_RESULT_BYTES,
    ) -> None:
        if max_result_bytes < MIN_RESULT_BYTES:
            raise ConfigError(
                f"max_result_bytes must be at least {MIN_RESULT_BYTES}, got {max_result_bytes}"
            )
        self._source = source
        self._messages = tuple(messages)
        self._grade = grade
        self._max_result_bytes = max_result_bytes
        self._tools: dict[str, Tool] = {}
        self._stack = AsyncExitStack()

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """What the policy is offered; empty before ``open``."""
        return tuple(tool.spec for tool in self._tools.values())

    async def open(self) -> Sequence[Message]:
        """Take the tools from their source. Raises ``InfraError``; ``ConfigError`` on bad tools."""
        async with AsyncExitStack() as stack:
            tools = await stack.enter_async_context(self._source)
            self._tools = tools_by_name(tools)
            self._stack = stack.pop_all()
        return self._messages

    async def call(self, call: ToolCall) -> ToolResult:
        """Answer one call. Raises only ``InfraError``."""
        start = time.perf_counter()
        problem = self._problem(call)
        if problem is None:
            result = capped(await self._tools[call.name].run(call), self._max_result_bytes)
        else:
            result = refused(call, problem, "policy")
        return replace(result, seconds=time.perf_counter() - start)

    async def grade(self, trajectory: Trajectory) -> Outcome | None:
        """Ask the grade that was passed in; without one every trajectory is unscored."""
        return None if self._grade is None else await self._grade(trajectory)

    async def close(self) -> None:
        """Leave the source of tools, in ``CLOSE_S`` at most; a second call does nothing."""
        # Not anyio's scope: it may not be entered between the entry and the exit of a source
        # that holds a task group.
        deadline = asyncio.timeout(CLOSE_S)
        try:
            async with deadline:
                await self._stack.aclose()
        except TimeoutError:
            if not deadline.expired():
                raise

    def _problem(self, call: ToolCall) -> str | None:
        """Why the call cannot be run, in one line, or None."""
        tool = self._tools.get(call.name)
        if tool is None and call.name:
            return f"unknown tool {' '.join(call.name.split())}"
        if call.arguments is None:
            return f"call is not valid: {call.problem or 'it has no arguments'}"
        if tool is None:
            return "call is not valid: it names no tool"
        error = first_schema_error(tool.spec, call.arguments)
        return None if error is None else error.message


def opening(task: Task, system: str = "") -> tuple[Message, ...]:
    """The first messages of an episode: the system prompt, unless it is empty, and the task."""
    user = Message("user", task.prompt)
    return (Message("system", system), user) if system else (user,)


def tools_by_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    """The tools under their names. Raises ``ConfigError`` for none, for two with one name, and
    for a schema that cannot be used."""
    by_name: dict[str, Tool] = {}
    for tool in tools:
        name = tool.spec.name
        if name in by_name:
            raise ConfigError(f"two tools are named {name!r}; names must be unique")
        check_schema(name, tool.spec.input_schema)
        by_name[name] = tool
    if not by_name:
        raise ConfigError("an environment needs at least one tool, got none")
    return by_name


def grade_of(task: Task, grade: TaskGrade | None) -> Grade | None:
    """The author's grade bound to one task, with a plain score made an ``Outcome``."""
    if grade is None:
        return None

    async def bound(trajectory: Trajectory) -> Outcome | None:
        verdict = grade(task, trajectory)
        if inspect.isawaitable(verdict):
            verdict = await verdict
        if verdict is None or isinstance(verdict, Outcome):
            return verdict
        return Outcome(float(verdict))

    return bound


async def probe_taskset(taskset: Taskset, split: str = "train") -> Sequence[ToolSpec]:
    """Open and close one environment before anything depends on it. Gives the tools it offers.

    Raises ``ConfigError`` in one line: a server that does not start now will not start later.
    """
    env = taskset.env(taskset.tasks(split)[0])
    try:
        await env.open()
        return env.tools
    except InfraError as error:
        raise ConfigError(f"the environment does not start: {error}") from error
    finally:
        await env.close()
