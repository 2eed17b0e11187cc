"""A file of coding tasks of one's own: which repository, which commit, which tests.

One JSON object a line: ``{"id": "t1", "prompt": "...", "repo": "widgets", "commit": "v1.2",
"test_files": ["tests/**"]}``. Knows nothing of boxes or of how tests are run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from agentsd.errors import DataError
from agentsd.jsonl import read_objects
from agentsd.tasks import Split, TaskSplits
from agentsd.types import Task
from agentsd.validation import first_problem
from agentsd_envs.repo.gits import is_repository, is_url

REPORT = "{report}"
"""Stands in a test command for the JUnit XML file that it must write."""


class RepoRow(BaseModel):
    """What a task's environment needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: str = Field(min_length=1)
    """A folder, a tarball, or a URL (``https://``, ``file://``); relative to the task file."""
    commit: str | None = None
    """``HEAD`` for a git repository; a folder without git and a tarball have none."""
    test_files: tuple[str, ...] = Field(min_length=1)
    """Patterns of the files that judge: never in the policy's box unless ``show_tests``, and
    always taken from the repository when the tests run."""
    test_commit: str | None = None
    """Where the test files come from, if not from ``commit``."""
    show_tests: bool = False
    test_command: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Runs the tests and writes a JUnit report to ``{report}``. Without one, the ``unittest``
    methods of the test files are run."""
    is_exit_code_enough: bool = False
    """The command writes no report and exit code 0 means passed. Code under test that calls
    ``exit(0)`` early then passes."""
    must_pass: tuple[str, ...] = ()
    """Tests, as ``classname.name`` in the report, that must be there and pass."""
    image: str | None = None
    """Container image of this task, for backends that have images."""

    @model_validator(mode="before")
    @classmethod
    def _split_command(cls, values: Any) -> Any:
        """A command in one string is one for the shell."""
        if isinstance(values, Mapping) and isinstance(values.get("test_command"), str):
            return {**values, "test_command": ["sh", "-c", values["test_command"]]}
        return values

    @model_validator(mode="after")
    def _check(self) -> RepoRow:
        has_report = any(REPORT in word for word in self.test_command or ())
        if self.is_exit_code_enough and (has_report or self.test_command is None):
            raise ValueError("is_exit_code_enough goes with a test_command without {report}")
        if self.test_command and not has_report and not self.is_exit_code_enough:
            raise ValueError(
                "test_command must write a JUnit report to {report}, or set is_exit_code_enough"
            )
        if self.must_pass and not has_report:
            raise ValueError("must_pass needs a test_command that writes {report}")
        return self


class TaskLine(BaseModel):
    """One line of the file: a task, and a row for its environment."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str = Field(min_length=1)
    prompt: str = Field(min_length=1)
    max_calls: PositiveInt | None = None
    split: Split = "train"


def read_rows(path: Path) -> TaskSplits:
    """Read a task file. Raises ``DataError`` naming the file, the line and the key."""
    splits: dict[str, list[Task]] = {"train": [], "test": []}
    seen: dict[str, str] = {}
    for where, value in read_objects(path):
        line, row = _parsed(where, value)
        if line.id in seen:
            raise DataError(f"{where}: id {line.id!r} was used at {seen[line.id]} already")
        seen[line.id] = where
        located = _located(where, row, path.parent)
        data = {"repo": located.model_dump(mode="json", exclude_defaults=True)}
        splits[line.split].append(Task(line.id, line.prompt, data, line.max_calls))
    if not seen:
        raise DataError(f"{path}: holds no tasks; write one JSON object a line")
    return TaskSplits(str(path), {split: tuple(tasks) for split, tasks in splits.items()})


def row_of(task: Task) -> RepoRow:
    """The row that a task carries. Raises ``DataError``."""
    try:
        return RepoRow.model_validate(task.data["repo"])
    except ValidationError as error:
        raise DataError(f"task {task.id}: {first_problem(error)}") from error


def _parsed(where: str, value: dict[str, Any]) -> tuple[TaskLine, RepoRow]:
    try:
        line = TaskLine.model_validate(value)
        return line, RepoRow.model_validate(line.model_extra)
    except ValidationError as error:
        raise DataError(f"{where}: {first_problem(error)}") from error


def _located(where: str, row: RepoRow, base: Path) -> RepoRow:
    """The row with an absolute path, if the repository is on this machine."""
    if is_url(row.repo):
        return row
    path = (base / row.repo).resolve()
    if not path.exists():
        raise DataError(f"{where}: repo: there is no folder or tarball {path}")
    if (row.commit or row.test_commit) and not (path.is_dir() and is_repository(path)):
        raise DataError(f"{where}: commit: {path} is no git repository, so it has no commits")
    return row.model_copy(update={"repo": str(path)})
