"""Harbor and Terminal-Bench 2 task directories, read natively.

An episode is one box with a shell. When the policy is done its box is closed, the working directory
goes into a fresh box, and only there the tests appear: they can be neither read nor edited. What
the policy left outside the working directory, and services that it started, are gone by then;
Harbor's shared mode keeps them. Boxes have no network. Knows nothing of how a task directory looks;
``folder`` does.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentsd.errors import ConfigError, InfraError
from agentsd.interfaces import Env, Sandbox, SandboxBackend, Tool
from agentsd.sandbox.backends import backend
from agentsd.sandbox.docker import DockerBackend
from agentsd.tasks import TaskSplits
from agentsd.tools.env import ToolEnv, opening
from agentsd.types import Message, Outcome, Task, ToolCall, ToolResult, ToolSpec, Trajectory
from agentsd_envs.harbor.folder import TaskFolder, find_folders, read_folder
from agentsd_envs.harbor.images import image_of
from agentsd_envs.harbor.rooms import Room, shell_of, snapshots
from agentsd_envs.harbor.tools import Clock, box_tools
from agentsd_envs.harbor.verifier import graded

CALL_S = 120.0
"""Default deadline of one command."""


@dataclass(frozen=True, slots=True)
class HarborTaskset:
    """Implements ``Taskset`` over task directories; made by ``taskset``."""

    folders: Mapping[str, TaskFolder]
    splits: TaskSplits
    backend: SandboxBackend
    """Of tasks without an image; those with one need Docker."""
    system: str
    call_timeout_s: float

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split, sorted by name. Raises ``ConfigError`` when it has none."""
        return self.splits.of(split)

    def env(self, task: Task) -> Env:
        """A fresh environment; opening it builds the task's image and opens a box."""
        if task.id not in self.folders:
            raise ConfigError(f"{self.splits.source} holds no task {task.id!r}")
        return HarborEnv(self, task)

    async def room(self, task: Task) -> Room:
        """What opens boxes for a task. Raises ``ConfigError`` when its image cannot be built."""
        folder = self.folders[task.id]
        if not folder.needs_image:
            return Room(folder, self.backend, None)
        docker = DockerBackend()
        return Room(folder, docker, await image_of(folder, docker))


class HarborEnv:
    """Implements ``Env``: tools over the agent's box, the grade from another box."""

    def __init__(self, taskset: HarborTaskset, task: Task) -> None:
        self._taskset = taskset
        self._task = task
        self._room: Room | None = None
        self._box: Sandbox | None = None
        self._inner = ToolEnv(self._opened(), opening(task, taskset.system))

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """The shell and files; empty before ``open``."""
        return self._inner.tools

    async def open(self) -> Sequence[Message]:
        """Open the box. Raises ``ConfigError`` with the fix where it cannot, ``InfraError``."""
        return await self._inner.open()

    async def call(self, call: ToolCall) -> ToolResult:
        """Answer one call. Raises only ``InfraError``."""
        return await self._inner.call(call)

    async def grade(self, trajectory: Trajectory) -> Outcome | None:
        """Close the agent's box, then run the tests over its working directory."""
        if self._box is None or self._room is None:
            raise InfraError(f"harbor task {self._task.id}: there is no box to grade")
        workdir = await snapshots(self._box).snapshot()
        await self.close()
        return await graded(self._room, workdir)

    async def close(self) -> None:
        """Close the agent's box."""
        await self._inner.close()
        self._box = None

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Sequence[Tool]]:
        self._room = await self._taskset.room(self._task)
        async with self._room.agent_box() as box:
            self._box = box
            limit_s = self._room.folder.toml.agent.timeout_s
            shell = await shell_of(box)
            yield box_tools(box, shell, Clock.started(limit_s, self._taskset.call_timeout_s))


def taskset(
    path: str | Path,
    *,
    names: Sequence[str] = ("*",),
    test_names: Sequence[str] = (),
    sandbox: str = "bwrap",
    offline: bool = False,
    system: str = "",
) -> HarborTaskset:
    """The task directories in ``path`` whose names match one of the patterns ``names``.

    Those that match ``test_names`` are for testing, the rest for training. Tasks with a Dockerfile
    or a ``docker_image`` run in Docker; the others, which are no invention of Harbor, run in
    ``sandbox`` with the files of ``environment`` in their working directory. ``offline`` takes
    tasks that ask for the internet too. Raises ``DataError`` for the first task that cannot be
    run, ``ConfigError``.
    """
    splits: dict[str, list[Task]] = {"train": [], "test": []}
    folders: dict[str, TaskFolder] = {}
    for each in find_folders(Path(path)):
        if not _matches(each.name, names):
            continue
        folder = read_folder(each, offline=offline)
        folders[folder.name] = folder
        split = "test" if _matches(folder.name, test_names) else "train"
        splits[split].append(Task(folder.name, folder.instruction, {"path": str(folder.path)}))
    if not folders:
        raise ConfigError(f"harbor: {path} holds no task whose name matches {', '.join(names)}")
    as_tuples = {name: tuple(tasks) for name, tasks in splits.items()}
    return HarborTaskset(
        folders, TaskSplits(str(path), as_tuples), backend(sandbox), system, CALL_S
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
