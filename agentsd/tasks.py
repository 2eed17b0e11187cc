"""Read tasks: a JSONL file, or a sequence made in Python. Knows nothing of environments.

One task a line: ``{"id": "t1", "prompt": "...", "data": {}, "max_calls": 8, "split": "train"}``.
Only ``id`` and ``prompt`` are required; a task without ``split`` is for training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from agentsd.errors import ConfigError, DataError
from agentsd.types import Task
from agentsd.validation import first_problem

Split = Literal["train", "test"]
TaskInput = str | Path | Sequence[Task] | Mapping[str, Sequence[Task]]
"""A file, the training tasks, or the tasks of each split."""


@dataclass(frozen=True, slots=True)
class TaskSplits:
    """Tasks by split, in a fixed order."""

    source: str
    """Where they come from, for messages."""
    splits: Mapping[str, tuple[Task, ...]]

    def of(self, split: str) -> Sequence[Task]:
        """The tasks of one split. Raises ``ConfigError`` when it has none."""
        tasks = self.splits.get(split, ())
        if not tasks:
            known = ", ".join(name for name, held in self.splits.items() if held) or "none"
            raise ConfigError(f"{self.source} has no tasks in split {split!r}; it has: {known}")
        return tasks


class TaskRow(BaseModel):
    """One line of a task file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    data: dict[str, Any] = Field(default_factory=dict)
    max_calls: PositiveInt | None = None
    split: Split = "train"

    def task(self) -> Task:
        """The row without its split."""
        return Task(self.id, self.prompt, self.data, self.max_calls)


def as_splits(tasks: TaskInput) -> TaskSplits:
    """Tasks in any of the forms that environments take. Raises ``DataError``."""
    if isinstance(tasks, str | Path):
        return read_tasks(Path(tasks))
    by_split = tasks if isinstance(tasks, Mapping) else {"train": tasks}
    splits = {split: tuple(held) for split, held in by_split.items()}
    seen: set[str] = set()
    for task in (task for held in splits.values() for task in held):
        if task.id in seen:
            raise DataError(f"two tasks have the id {task.id!r}")
        seen.add(task.id)
    return TaskSplits("the list of tasks", splits)


def read_tasks(path: Path) -> TaskSplits:
    """Read a task file. Raises ``DataError`` that names the file and the line."""
    splits: dict[str, list[Task]] = {"train": [], "test": []}
    lines_by_id: dict[str, int] = {}
    for number, text in _lines(path):
        row = _row(f"{path}:{number}", text)
        if row.id in lines_by_id:
            first = lines_by_id[row.id]
            raise DataError(f"{path}:{number}: id {row.id!r} was used in line {first} already")
        lines_by_id[row.id] = number
        splits[row.split].append(row.task())
    if not lines_by_id:
        raise DataError(f"{path}: holds no tasks; write one JSON object a line")
    return TaskSplits(str(path), {split: tuple(tasks) for split, tasks in splits.items()})


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Every line that is not blank, with its number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text: {error.reason}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _row(where: str, text: str) -> TaskRow:
    try:
        return TaskRow.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    except ValidationError as error:
        raise DataError(f"{where}: {first_problem(error)}") from error
