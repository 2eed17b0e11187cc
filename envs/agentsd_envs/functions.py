"""An environment from typed Python functions: decorate them, list them, name the tasks.

>>> from agentsd.tools.function import tool
>>> from agentsd.types import Task
>>> @tool
... def add(a: int, b: int) -> int:
...     "Add two integers."
...     return a + b
>>> env = taskset(tools=[add], tasks=[Task("t1", "What is 2 + 3?", {"answer": "5"})],
...               grade=lambda task, t: float(task.data["answer"] in t.messages[-1].content))
>>> env.env(env.tasks("train")[0]).__class__.__name__
'ToolEnv'

Tools with state are made anew for every episode: pass a function of the task instead of a list.
Knows nothing of how tools run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentsd.errors import ConfigError
from agentsd.interfaces import Env, Snapshots, Tool
from agentsd.snapshots import SnapshotEnv
from agentsd.tasks import TaskInput, TaskSplits, as_splits
from agentsd.tools.env import Grade, TaskGrade, ToolEnv, grade_of, opening, tools_by_name
from agentsd.tools.results import MAX_RESULT_BYTES
from agentsd.types import Task


@dataclass(frozen=True, slots=True)
class Kit:
    """The tools of one episode, a grade that can read their final state, and that state."""

    tools: Sequence[Tool]
    grade: Grade | None = None
    state: Snapshots | None = None
    """What the tools act on, where it can be copied (``JsonState``): then episodes can rewind."""


MakeTools = Callable[[Task], Sequence[Tool] | Kit]


@dataclass(frozen=True, slots=True)
class FunctionTaskset:
    """Implements ``Taskset`` over Python functions; made by ``taskset``."""

    splits: TaskSplits
    make_tools: MakeTools
    system: str
    grade: TaskGrade | None
    max_result_bytes: int

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split. Raises ``ConfigError`` when it has none."""
        return self.splits.of(split)

    def env(self, task: Task) -> Env:
        """A fresh environment; tools with state are made here, so no two episodes share it."""
        made = self.make_tools(task)
        kit = made if isinstance(made, Kit) else Kit(made)
        env = ToolEnv(
            contextlib.nullcontext(kit.tools),
            opening(task, self.system),
            grade=kit.grade or grade_of(task, self.grade),
            max_result_bytes=self.max_result_bytes,
        )
        return env if kit.state is None else SnapshotEnv(env, kit.state)


def taskset(
    tools: Sequence[Tool] | MakeTools,
    tasks: TaskInput,
    *,
    system: str = "",
    grade: TaskGrade | None = None,
    max_result_bytes: int = MAX_RESULT_BYTES,
) -> FunctionTaskset:
    """Tools that keep no state as a list; others as a function that makes them for a task.

    ``grade(task, trajectory)`` gives an ``Outcome``, a score or None. Raises ``ConfigError``.
    """
    make_tools = tools if callable(tools) else _same_for_all(tools)
    return FunctionTaskset(as_splits(tasks), make_tools, system, grade, max_result_bytes)


def _same_for_all(tools: Sequence[Tool]) -> MakeTools:
    for each in tools:
        if not hasattr(each, "spec"):
            name = getattr(each, "__name__", repr(each))
            raise ConfigError(f"{name} is not a tool; decorate it with @tool")
    shared = tuple(tools_by_name(tools).values())

    def make(_task: Task) -> Sequence[Tool]:
        return shared

    return make
