"""The table of repair tasks that ships: which mistakes, how hard, and what they break.

Each row was found by ``vetting``: the program passes all its tests without the mistakes and fails
``failing`` with them. Knows nothing of how a repaired program is judged.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentsd.errors import ConfigError, DataError
from agentsd.types import Task
from agentsd_envs.repo.answers import Quiz, quiz
from agentsd_envs.repo.catalog import Project, projects
from agentsd_envs.repo.mutations import Mutation

TABLE = Path(__file__).parent / "repairs.jsonl"
Level = Literal[1, 2, 3]
LEVELS: tuple[Level, ...] = (1, 2, 3)
MAX_CALLS = {1: 20, 2: 24, 3: 32}
"""Budget of tool calls by level."""

FOUND = {
    1: "`python3 -m unittest {module}.{case}.{test}` fails.",
    2: "A user reports that it no longer {what}.",
    3: "Users report that it no longer {what}, and that it no longer {also}.",
}
PROMPT = (
    "The program `{name}` stands in /work, its tests in {module}.py. {found} Find what is wrong "
    "with the program and repair it. The tests are right, and there are more of them than you "
    "see. Say DONE when it works."
)


class Edit(BaseModel):
    """One mistake in one file of a program."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    operator: str
    function: str
    start: int
    old: str
    new: str

    @property
    def mutation(self) -> Mutation:
        """The mistake without its file."""
        return Mutation(self.operator, self.function, self.start, self.old, self.new)


class Repair(BaseModel):
    """One row of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    project: str
    level: Level
    """1: one mistake and the name of a failing test; 2: one mistake and a user's report, all tests
    that stand there pass; 3: two mistakes in different functions and two reports."""
    edits: tuple[Edit, ...] = Field(min_length=1, max_length=2)
    failing: tuple[str, ...] = Field(min_length=1)
    """The tests that fail, those that the reports are about first."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A repair with the program it is about."""

    repair: Repair
    project: Project

    def modules(self) -> dict[str, str]:
        """The sources with the mistakes."""
        return broken_modules(self.project, self.repair.edits)

    def shown_tests(self) -> str:
        """The test file without what is held back: failing tests, but for the one of level 1."""
        held_back = self.repair.failing[1:] if self.repair.level == 1 else self.repair.failing
        return without(self.project.tests, quiz(self.project.tests), held_back)

    def prompt(self) -> str:
        """What the policy is told."""
        failing = self.repair.failing
        found = FOUND[self.repair.level].format(
            module=f"test_{self.project.name}",
            case=quiz(self.project.tests).prefix,
            test=failing[0],
            what=spoken(failing[0]),
            also=spoken(failing[min(1, len(failing) - 1)]),
        )
        return PROMPT.format(
            name=self.project.name, module=f"test_{self.project.name}", found=found
        )

    def task(self) -> Task:
        """The task; its data are all that the environment needs to set it up again."""
        data = {"repair": self.repair.model_dump(mode="json")}
        name = f"repair/{self.repair.id}"
        return Task(name, self.prompt(), data, MAX_CALLS[self.repair.level])


def repair_tasks(split: str, count: int | None, levels: Sequence[int], seed: int) -> list[Task]:
    """``count`` tasks (all by default) in an order that the seed decides, levels taking turns.

    Raises ``ConfigError`` for an unknown split, levels that do not exist, or more than there are.
    """
    if split not in ("train", "test"):
        raise ConfigError(f"repo has no split {split!r}; expected train or test")
    if not levels or not set(levels) <= set(LEVELS):
        raise ConfigError(f"repo: levels must be some of {list(LEVELS)}, got {list(levels)}")
    known = projects()
    rows = [row for row in table() if known[row.project].split == split]
    random.Random(f"repair/{split}/{seed}").shuffle(rows)
    by_level = [[row for row in rows if row.level == level] for level in sorted(set(levels))]
    chosen = [row for turn in _turns(by_level) for row in turn]
    if count is not None and not 1 <= count <= len(chosen):
        raise ConfigError(
            f"repo has 1 to {len(chosen)} {split} tasks of these levels, got a count of {count}"
        )
    return [Broken(row, known[row.project]).task() for row in chosen[:count]]


def broken(data: Mapping[str, Any]) -> Broken:
    """The repair that a task's data describe. Raises ``DataError``."""
    try:
        repair = Repair.model_validate(data["repair"])
        return Broken(repair, projects()[repair.project])
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise DataError(f"repo: task data: repair.{first['loc'][0]}: {first['msg']}") from error
    except KeyError as error:
        raise DataError(f"repo: task data: there is no program {error}") from error


def table() -> list[Repair]:
    """All rows, in the order of the file."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [Repair.model_validate(json.loads(line)) for line in lines]


def broken_modules(project: Project, edits: Sequence[Edit]) -> dict[str, str]:
    """A program's sources with mistakes, which are applied from the end so that none moves."""
    modules = dict(project.modules)
    for edit in sorted(edits, key=lambda each: -each.start):
        modules[edit.path] = edit.mutation.apply(modules[edit.path])
    return modules


def without(tests: str, split: Quiz, names: Sequence[str]) -> str:
    """A test file without some of its tests."""
    lines = tests.splitlines(keepends=True)
    for first, last in sorted((split.lines[name] for name in names), reverse=True):
        # The blank line above goes as well.
        del lines[first - 2 if lines[first - 2].isspace() else first - 1 : last]
    return "".join(lines)


def spoken(test: str) -> str:
    """A test's name as words.

    >>> spoken("test_reads_small_numbers")
    'reads small numbers'
    """
    return test.removeprefix("test_").replace("_", " ")


def _turns(by_level: Sequence[Sequence[Repair]]) -> list[list[Repair]]:
    longest = max((len(rows) for rows in by_level), default=0)
    return [[rows[at] for rows in by_level if at < len(rows)] for at in range(longest)]
