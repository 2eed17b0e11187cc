"""Replay every trajectory of a file in its own task's environment, and report.

Knows nothing of how results are compared.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentsd.errors import ConfigError, DataError
from agentsd.formats import read_any
from agentsd.interfaces import Taskset
from agentsd.matching import Matching
from agentsd.replay import MakeEnv, Replay, recorded_calls, replay
from agentsd.types import Task, Trajectory

FORMAT = "agentsd/replay/1"

SPLITS = ("train", "test")

CONCURRENCY = 8
"""Trajectories that are replayed at once."""


@dataclass(frozen=True, slots=True)
class Until:
    """Replay one trajectory only, and only the calls before a turn."""

    trajectory_id: str
    turn: int


@dataclass(frozen=True, slots=True)
class Report:
    """All replays, in the order of the file."""

    replays: tuple[Replay, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every replay gave what was recorded."""
        return all(each.status == "equal" for each in self.replays)

    def counts(self) -> dict[str, int]:
        """Trajectories and calls: all, and by how they went."""
        by_status = Counter(each.status for each in self.replays)
        return {
            "trajectories": len(self.replays),
            **{status: by_status[status] for status in ("equal", "diverged", "void")},
            "calls": sum(each.calls for each in self.replays),
            "equal_calls": sum(each.equal for each in self.replays),
            "unanswered_calls": sum(each.unanswered for each in self.replays),
        }

    def plain(self) -> dict[str, Any]:
        """The report as JSON values::

            {"format": "agentsd/replay/1",
             "trajectories": 2, "equal": 1, "diverged": 1, "void": 0,
             "calls": 9, "equal_calls": 8, "unanswered_calls": 0,
             "replays": [
               {"trajectory_id": "a", "task_id": "t1", "status": "diverged",
                "calls": 4, "equal_calls": 3, "unanswered_calls": 0, "opening_equal": true,
                "divergence": {"turn": 2, "call_index": 0, "tool": "read_note",
                               "expected": "...", "actual": "...",
                               "expected_error": false, "actual_error": false},
                "problem": ""}, ...]}

        ``status`` is ``equal``, ``diverged`` or ``void``; ``divergence`` is the first one or
        null; ``problem`` is the infrastructure failure of a void replay. ``expected_error`` is
        null where the recording does not say.
        """
        replays = [
            {
                "trajectory_id": each.trajectory_id,
                "task_id": each.task_id,
                "status": each.status,
                "calls": each.calls,
                "equal_calls": each.equal,
                "unanswered_calls": each.unanswered,
                "opening_equal": each.opening_equal,
                "divergence": asdict(each.divergence) if each.divergence else None,
                "problem": each.problem,
            }
            for each in self.replays
        ]
        return {"format": FORMAT, **self.counts(), "replays": replays}


def parse_until(text: str) -> Until:
    """``ID:TURN`` as people write it. Raises ``ConfigError``.

    >>> parse_until("run/0001:3")
    Until(trajectory_id='run/0001', turn=3)
    """
    trajectory_id, _, turn = text.rpartition(":")
    if not trajectory_id or not turn.isdecimal():
        raise ConfigError(f"{text!r} is not of the form ID:TURN, such as run/0001:3")
    return Until(trajectory_id, int(turn))


async def replay_file(
    source: Path,
    taskset: Taskset,
    *,
    fmt: str = "auto",
    matching: Matching | None = None,
    until: Until | None = None,
) -> Report:
    """Replay the trajectories of a file, a few at once.

    Raises ``DataError`` for a file without trajectories, a trajectory of a task that the taskset
    does not have, and a turn or trajectory that ``until`` names and that does not exist.
    """
    jobs = _jobs(read_any(source, fmt), taskset, until)
    replays: dict[int, Replay] = {}

    async def work() -> None:
        # All workers take from the same iterator, so that a large file is never held as a whole.
        for number, trajectory, make_env in jobs:
            replays[number] = await replay(
                trajectory, make_env, matching or Matching(), stop_turn=until and until.turn
            )

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors  # a bad file is met once: see ``_jobs``
    if not replays:
        wanted = f"no trajectory {until.trajectory_id!r}" if until else "no trajectories"
        raise DataError(f"{source} holds {wanted}; nothing was replayed")
    return Report(tuple(replays[number] for number in sorted(replays)))


def tasks_by_id(taskset: Taskset) -> Mapping[str, Task]:
    """The tasks of every split that the taskset has. Raises ``ConfigError`` when it has none."""
    found: dict[str, Task] = {}
    missing: list[ConfigError] = []
    for split in SPLITS:
        try:
            found |= {task.id: task for task in taskset.tasks(split)}
        except ConfigError as error:
            missing.append(error)  # a split without tasks says so in this way
    if len(missing) == len(SPLITS):
        raise missing[0]
    return found


def env_maker(taskset: Taskset, tasks: Mapping[str, Task], trajectory: Trajectory) -> MakeEnv:
    """What makes fresh environments of the trajectory's task. Raises ``DataError``."""
    task = tasks.get(trajectory.task_id)
    if task is None:
        raise DataError(
            f"trajectory {trajectory.id}: the environment has no task {trajectory.task_id!r} "
            f"among its {len(tasks)}; give the environment and options that it was recorded with"
        )
    return lambda: taskset.env(task)


def _jobs(
    trajectories: Iterator[Trajectory], taskset: Taskset, until: Until | None
) -> Iterator[tuple[int, Trajectory, MakeEnv]]:
    """What is to be replayed and where, with its place in the file."""
    tasks = tasks_by_id(taskset)
    for number, trajectory in enumerate(trajectories):
        if until is None or trajectory.id == until.trajectory_id:
            # Checked here, where it can happen once, and not by several workers in the same moment.
            list(recorded_calls(trajectory, 0, until and until.turn))
            yield number, trajectory, env_maker(taskset, tasks, trajectory)
