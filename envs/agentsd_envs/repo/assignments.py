"""What one coding task comes down to: files for the policy's box, and how what it leaves is judged.

Knows nothing of boxes beyond what verdicts know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import anyio.to_thread

from agentsd.errors import ConfigError, DataError
from agentsd.types import Task
from agentsd_envs.repo.answers import quiz
from agentsd_envs.repo.cleaning import Original, is_hook
from agentsd_envs.repo.gits import clone, is_repository, is_url, read_commit
from agentsd_envs.repo.repairs import Broken, broken
from agentsd_envs.repo.rows import RepoRow, row_of
from agentsd_envs.repo.trees import (
    Files,
    matching,
    read_folder,
    read_tarball,
    text_files,
)
from agentsd_envs.repo.verdicts import (
    Verdict,
    by_answers,
    by_command,
    by_unittest,
    unittest_methods,
)

KEPT_TREES = 4
"""Repositories at a commit that stay in memory between episodes."""

Load = Callable[[str, str | None], Files]
"""The files of a repository at a commit."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One task, ready to be set up and judged."""

    shown: Files
    """What the policy finds in ``/work``."""
    original: Original
    verdict: Verdict


def loader(cache: Path, clone_timeout_s: float) -> Load:
    """Reads repositories, which blocks, and keeps the last few.

    Raises as ``gits`` and ``trees`` do.
    """

    @lru_cache(maxsize=KEPT_TREES)
    def load(repo: str, commit: str | None) -> Files:
        if is_url(repo):
            return read_commit(clone(repo, cache, clone_timeout_s), commit or "HEAD", repo)
        path = Path(repo)
        if not path.exists():
            raise ConfigError(f"repo: there is no folder or tarball {path}")
        if path.is_dir() and is_repository(path):
            return read_commit(path, commit or "HEAD", repo)
        return read_folder(path) if path.is_dir() else read_tarball(path)

    return load


@dataclass(frozen=True, slots=True)
class Trees:
    """The files that a row is about."""

    files: Files
    tests: Files
    """Those that judge."""


async def assign(task: Task, load: Load, timeout_s: float) -> Assignment:
    """The assignment of a task. Raises ``ConfigError`` and ``DataError``, also for no tests."""
    if "repair" in task.data:
        return repair_assignment(broken(task.data), timeout_s)
    if "repo" not in task.data:
        raise DataError(f"task {task.id}: its data name neither a repair nor a repo")
    row = row_of(task)
    trees = await anyio.to_thread.run_sync(read_trees, task.id, row, load, abandon_on_cancel=True)
    # Not in that thread: ast.parse in two threads at once can fail in CPython 3.11.
    return row_assignment(task.id, row, trees, timeout_s)


def repair_assignment(repair: Broken, timeout_s: float) -> Assignment:
    """A program with mistakes and some of its tests; all of them are asked at the end."""
    project = repair.project
    shown = text_files({**repair.modules(), project.test_path: repair.shown_tests()})
    # The questions are no files: nothing in the tree but the program itself is of any use.
    original = Original({}, ("test_*.py",), frozenset(shown))
    return Assignment(shown, original, by_answers(quiz(project.tests), timeout_s))


def row_assignment(name: str, row: RepoRow, trees: Trees, timeout_s: float) -> Assignment:
    """A repository without its tests, which are put in place at the end."""
    files = trees.files
    hidden = set() if row.show_tests else set(matching(files, row.test_files))
    shown = {path: file for path, file in files.items() if path not in hidden}
    hooks = {path: file for path, file in files.items() if is_hook(path)}
    original = Original({**hooks, **trees.tests}, row.test_files, frozenset(files))
    return Assignment(shown, original, _verdict(name, row, trees.tests, timeout_s))


def read_trees(name: str, row: RepoRow, load: Load) -> Trees:
    """The files of a row's repository, and those that judge. Raises ``DataError`` for no tests."""
    commit = row.test_commit or row.commit
    files = load(row.repo, commit)
    tests = {path: files[path] for path in matching(files, row.test_files)}
    if not tests:
        where = f"{row.repo} at {commit}" if commit else row.repo
        raise DataError(
            f"task {name}: no file of {where} matches test_files {list(row.test_files)}"
        )
    return Trees(load(row.repo, row.commit), tests)


def _verdict(name: str, row: RepoRow, tests: Files, timeout_s: float) -> Verdict:
    if row.test_command is not None:
        return by_command(row.test_command, row.must_pass, timeout_s)
    methods = unittest_methods(tests)
    if not methods:
        raise DataError(
            f"task {name}: test_files hold no unittest methods; give a test_command that runs them"
        )
    return by_unittest(methods, timeout_s)
