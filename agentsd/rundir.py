"""The files of one run: where they are, how they are appended to, how a resume rewinds them.

Every record is flushed before anything depends on it. Records of steps behind the checkpoint that
a run resumes from are moved to ``superseded-N/``, never deleted. Knows nothing of what a step does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentsd import jsonl
from agentsd.checkpoint import Checkpoint, checkpoints
from agentsd.config import Recipe, dump_recipe, load_recipe
from agentsd.errors import ConfigError
from agentsd.store import appending_findings, appending_trajectories
from agentsd.types import Finding, Trajectory


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run's directory; made by ``open_run``."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe with every default filled in."""
        return self.path / "recipe.resolved.toml"

    @property
    def checkpoints(self) -> Path:
        """Folder of Hugging Face folders."""
        return self.path / "checkpoints"

    @property
    def findings(self) -> Path:
        """All findings, step after step."""
        return self.path / "findings.jsonl"

    @property
    def branches(self) -> Path:
        """Every branch with what student and hinted teacher said of it."""
        return self.path / "branches.jsonl"

    @property
    def metrics(self) -> Path:
        """One object for each step."""
        return self.path / "metrics.jsonl"

    @property
    def summary(self) -> Path:
        """Before, after, drift: what the run came to. There once it is finished."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The summary, curves and examples as one page."""
        return self.path / "report.html"

    def trajectories(self, step: int) -> Path:
        """The trajectories of one step."""
        return self.path / "trajectories" / f"step-{step:05d}.jsonl"

    def evaluation(self, name: str) -> Path:
        """The trajectories of an evaluation; findings are beside it, see ``eval_findings``."""
        return self.path / "eval" / f"{name}.jsonl"

    def eval_findings(self, name: str) -> Path:
        """The findings of an evaluation."""
        return self.path / "eval" / f"{name}.findings.jsonl"

    def last_checkpoint(self) -> Checkpoint | None:
        """Where a resume starts."""
        found = checkpoints(self.checkpoints)
        return found[-1] if found else None

    def append_trajectory(self, step: int, trajectory: Trajectory) -> None:
        """Write a finished episode down at once."""
        with appending_trajectories(self.trajectories(step)) as append:
            append(trajectory)

    def append_findings(
        self, trajectories: Sequence[Trajectory], findings: Sequence[Finding]
    ) -> None:
        """Write down what the critic found in the trajectories of a step."""
        by_id: dict[str, list[Finding]] = {trajectory.id: [] for trajectory in trajectories}
        for finding in findings:
            by_id[finding.trajectory_id].append(finding)
        with appending_findings(self.findings) as append:
            for trajectory in trajectories:
                append(trajectory, by_id[trajectory.id])

    def append(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append rows to ``branches`` or ``metrics``."""
        with jsonl.appending(path) as write:
            for row in rows:
                write(row)

    def rows(self, path: Path) -> Iterator[dict[str, Any]]:
        """The rows of ``branches`` or ``metrics``; nothing when there is no file yet."""
        if path.exists():
            for _, row in jsonl.read_objects(path):
                yield row

    def write_json(self, path: Path, value: Mapping[str, Any]) -> None:
        """Replace a JSON file at once."""
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)

    def rewind(self, step: int) -> None:
        """Set aside what was recorded after ``step``: it will be recorded again."""
        aside = next(
            p for i in range(1, 10**6) if not (p := self.path / f"superseded-{i}").exists()
        )
        later = [p for p in self.path.glob("trajectories/step-*.jsonl") if _step(p) > step]
        for path in later:
            aside.mkdir(exist_ok=True)
            path.rename(aside / path.name)
        for path in (self.findings, self.branches, self.metrics):
            self._rewind_rows(path, step, aside)

    def _rewind_rows(self, path: Path, step: int, aside: Path) -> None:
        rows = list(self.rows(path))
        kept = [row for row in rows if _row_step(row) <= step]
        if len(kept) == len(rows):
            return
        aside.mkdir(exist_ok=True)
        path.rename(aside / path.name)
        self.append(path, kept)


def open_run(path: Path, recipe: Recipe, *, resume: bool) -> RunDir:
    """Make a run's directory, or with ``resume`` go on with the one that is there.

    Raises ``ConfigError`` when a run is there and ``resume`` is not asked for, when it is finished,
    or when it was made with another recipe.
    """
    run = RunDir(path)
    if not run.recipe.exists():
        if path.exists() and any(path.iterdir()):
            raise ConfigError(f"{path}: holds files but no run; choose an empty or new folder")
        path.mkdir(parents=True, exist_ok=True)
        run.recipe.write_text(dump_recipe(recipe), encoding="utf-8")
        return run
    if run.summary.exists():
        raise ConfigError(f"{path}: holds a finished run; choose another folder")
    if not resume:
        raise ConfigError(f"{path}: holds an unfinished run; add --resume or choose another folder")
    if load_recipe(run.recipe) != recipe:
        raise ConfigError(f"{path}: its run was started with another recipe, see {run.recipe}")
    return run


def trajectory_id(step: int, index: int) -> str:
    """The id of an episode of a training step.

    >>> trajectory_id(3, 7)
    'step-00003/007'
    """
    return f"step-{step:05d}/{index:03d}"


def _row_step(row: Mapping[str, Any]) -> int:
    if "step" in row:
        return int(row["step"])
    return int(row["trajectory_id"].partition("/")[0].removeprefix("step-"))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
