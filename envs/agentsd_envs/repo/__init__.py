"""Coding tasks: a repository in a box, tools to work on it, and tests that run where it never was.

Without a task file the tasks are the repairs that ship. When the policy is done its box is packed
and closed; a fresh box gets the tree, the task's own tests, and nothing that could bend them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agentsd.boxes import BoxSpec
from agentsd.errors import DataError, InfraError
from agentsd.interfaces import Env, SandboxBackend
from agentsd.sandbox.backends import backend
from agentsd.tasks import TaskSplits
from agentsd.tools.env import ToolEnv, opening
from agentsd.types import Outcome, Task, Trajectory
from agentsd_envs.repo.assignments import Load, assign, loader, read_trees, row_assignment
from agentsd_envs.repo.carrying import snapshots
from agentsd_envs.repo.cleaning import Unclean, clean
from agentsd_envs.repo.gits import is_url
from agentsd_envs.repo.options import RepoOptions, parsed
from agentsd_envs.repo.repairs import repair_tasks
from agentsd_envs.repo.rows import read_rows, row_of
from agentsd_envs.repo.workspace import TooLarge, Workspace


@dataclass(frozen=True, slots=True)
class RepoTaskset:
    """Implements ``Taskset``; made by ``taskset``."""

    options: RepoOptions
    splits: TaskSplits | None
    """None for the repairs that ship."""
    backend: SandboxBackend
    load: Load

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split, in a fixed order. Raises ``ConfigError`` when it has none."""
        if self.splits is not None:
            return self.splits.of(split)
        return repair_tasks(split, self.options.count, self.options.levels, self.options.seed)

    def env(self, task: Task) -> Env:
        """A fresh environment; opening it reads the repository and opens a box."""
        image = row_of(task).image if "repo" in task.data else None
        options = self.options
        assignment = partial(assign, task, self.load, options.test_timeout_s)
        workspace = Workspace(self.backend, options.spec(image), assignment, options.shell)

        async def grade(trajectory: Trajectory) -> Outcome:
            return await judged(workspace, self.backend, options.judging_spec(image))

        return ToolEnv(
            workspace, opening(task), grade=grade, max_result_bytes=options.max_result_bytes
        )


def taskset(tasks: str | Path | None = None, **options: Any) -> RepoTaskset:
    """The options are the fields of ``RepoOptions``; ``tasks`` is a file as ``rows`` reads it.

    Raises ``ConfigError`` and ``DataError`` in one line, also for a local repository that does not
    have a task's commit or tests; what is cloned is checked when its first episode opens.
    """
    made = parsed({**options, "tasks": None if tasks is None else str(tasks)})
    load = loader(made.cache_dir.expanduser(), made.clone_timeout_s)
    splits = None if made.tasks is None else read_rows(Path(made.tasks))
    if splits is None:
        repair_tasks("train", made.count, made.levels, made.seed)
    for task in (task for held in (splits.splits.values() if splits else ()) for task in held):
        row = row_of(task)
        if not is_url(row.repo):
            row_assignment(task.id, row, read_trees(task.id, row, load), made.test_timeout_s)
    return RepoTaskset(made, splits, backend(made.sandbox), load)


async def judged(workspace: Workspace, boxes: SandboxBackend, spec: BoxSpec) -> Outcome:
    """Close the policy's box, and judge what it left in another. Raises ``InfraError``."""
    assignment = workspace.assignment
    if assignment is None:
        raise InfraError("the episode never opened")
    try:
        tree = await workspace.leave()
    except TooLarge as error:
        return Outcome(0.0, f"the policy left {error}")
    async with boxes.box(spec) as box:
        try:
            await snapshots(box).restore(tree)
        except DataError as error:
            raise InfraError(f"the box gave a snapshot that no box takes: {error}") from error
        try:
            await clean(box, assignment.original)
        except Unclean as error:
            return Outcome(0.0, f"what the policy left cannot be tested: {error}")
        return await assignment.verdict(box)
