"""Multi-turn function calling from the Berkeley leaderboard (BFCL v4), offline and exactly graded.

Every turn of a conversation is a task: the APIs stand where the gold calls of the earlier turns
left them, and those calls and their answers are told in the prompt. 128 functions in eight classes
of plain Python, which run in this process as trusted code. Needs the package ``bfcl-eval``, without
its dependencies. Knows nothing of how its files are laid out; ``source`` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from agentsd.errors import ConfigError
from agentsd.interfaces import Env
from agentsd.tasks import TaskSplits
from agentsd.tools.env import ToolEnv, opening
from agentsd.types import Outcome, Task, Trajectory
from agentsd_envs.bfcl.grade import graded
from agentsd_envs.bfcl.source import Category, find_library
from agentsd_envs.bfcl.tools import ApiTool, spec_of
from agentsd_envs.bfcl.turns import TurnTask, turn_tasks
from agentsd_envs.bfcl.world import World

HELD_OUT = 4
"""One conversation in so many is for testing. Conversations of the same number tell the same story
in all categories, so the number decides."""

MAX_RESULT_BYTES = 2**20
"""The answers of ``long_context`` are meant to be long."""


@dataclass(frozen=True, slots=True)
class BfclTaskset:
    """Implements ``Taskset``; made by ``taskset``."""

    turns: Mapping[str, TurnTask]
    splits: TaskSplits
    classes: Mapping[str, type[Any]]
    system: str

    def tasks(self, split: str) -> Sequence[Task]:
        """The turns of a split, in the order of the files. Raises ``ConfigError``."""
        return self.splits.of(split)

    def env(self, task: Task) -> Env:
        """Fresh APIs, after the gold calls of the earlier turns. Raises ``ConfigError``."""
        turn = self.turns.get(task.id)
        if turn is None:
            raise ConfigError(f"bfcl has no task {task.id!r} in the categories that were chosen")
        world, gold_world = World(turn.entry, self.classes), World(turn.entry, self.classes)
        before = world.run_gold(turn.gold_before)
        gold_world.run_gold(turn.gold_before)
        answers = list(before)

        async def grade(trajectory: Trajectory) -> Outcome:
            return graded(
                world,
                answers,
                gold_world=gold_world,
                gold_answers=gold_world.run_gold(turn.gold),
                num_calls=len(answers) - len(before),
            )

        tools = [ApiTool(spec, world, answers) for spec in turn.offered]
        return ToolEnv(
            contextlib.nullcontext(tools),
            opening(task, self.system),
            grade=grade,
            max_result_bytes=MAX_RESULT_BYTES,
        )


def taskset(
    *,
    path: str | Path | None = None,
    categories: Sequence[Category] = ("base",),
    system: str = "",
) -> BfclTaskset:
    """Tasks from the installed ``bfcl-eval``, or from an unpacked wheel in the folder ``path``.

    Raises ``ConfigError`` when the package is missing or a category is unknown, ``DataError`` when
    a file cannot be read.
    """
    known = get_args(Category)
    if not categories or not set(categories) <= set(known):
        raise ConfigError(
            f"bfcl: categories must be some of {', '.join(known)}, got {list(categories)}"
        )
    library = find_library(path)
    classes = library.classes()
    specs = {
        name: [spec_of(document) for document in documents]
        for name, documents in library.documents().items()
    }
    splits: dict[str, list[Task]] = {"train": [], "test": []}
    turns: dict[str, TurnTask] = {}
    for category in dict.fromkeys(categories):
        for number, entry in enumerate(library.entries(category)):
            split = splits["test" if number % HELD_OUT == HELD_OUT - 1 else "train"]
            for turn in turn_tasks(entry, classes, specs):
                turns[turn.task.id] = turn
                split.append(turn.task)
    as_tuples = {name: tuple(tasks) for name, tasks in splits.items()}
    return BfclTaskset(turns, TaskSplits(f"bfcl in {library.root}", as_tuples), classes, system)
