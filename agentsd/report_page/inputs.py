"""What a run left behind, as its report reads it. Knows nothing of how any of it is shown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agentsd.config import Recipe, load_recipe
from agentsd.errors import DataError
from agentsd.evaluate import Proportion
from agentsd.rundir import RunDir

Interval = tuple[float | None, float | None]
"""Lower and upper bound of a share; None where nothing was counted."""


class Row(BaseModel):
    """A JSON object of a run directory. Keys that the report has no use for are passed over."""

    model_config = ConfigDict(frozen=True)


RowT = TypeVar("RowT", bound=Row)


class CategoryShare(Row):
    """Calls of one error category, of all calls."""

    rate: float | None
    interval: Interval
    count: int


class Side(Row):
    """One evaluation: before training, or after."""

    error_rate: float | None
    error_rate_interval: Interval
    calls: int
    success: float | None
    success_interval: Interval
    episodes: int
    void: int = 0
    """Episodes that infrastructure ended; counted nowhere else."""
    by_category: dict[str, CategoryShare]

    def share_of(self, category: str) -> CategoryShare:
        """How often a category was found; one that was not has a share of 0, and an interval."""
        if category in self.by_category:
            return self.by_category[category]
        if not self.calls:
            return CategoryShare(rate=None, interval=(None, None), count=0)
        return CategoryShare(rate=0.0, interval=Proportion(0, self.calls).interval, count=0)


class Summary(Row):
    """What the run came to."""

    before: Side
    after: Side
    drift_nats: float | None
    trajectories: int
    seconds: float
    steps: int
    seed: int
    policy: str
    env: str

    @property
    def categories(self) -> list[str]:
        """Those found before or after, in order."""
        return sorted({*self.before.by_category, *self.after.by_category})

    @property
    def highest_bound(self) -> float:
        """Of all intervals of the categories, the highest; what a common scale must reach."""
        shares = (s.share_of(c) for s in (self.before, self.after) for c in self.categories)
        return max((share.interval[1] or 0.0 for share in shares), default=0.0) or 1.0


class TokenRow(Row):
    """One erroneous token and how likely student and hinted teacher find it."""

    text: str
    student_p: float
    teacher_p: float
    divergence: float


class BranchRow(Row):
    """One line of ``branches.jsonl``."""

    step: int
    trajectory_id: str
    turn: int
    call_index: int | None
    category: str
    quote: str
    hint: str
    accepted: bool
    drop_nats: float
    tokens: tuple[TokenRow, ...]


@dataclass(frozen=True, slots=True)
class StepRow:
    """The curves at one training step; NaN where nothing was recorded."""

    step: int
    error_rate: float
    success: float
    accepted: float
    anchor_kl: float


@dataclass(slots=True)
class Tally:
    """How many branches met one fate at the gate."""

    count: int = 0
    total_drop: float = 0.0

    @property
    def mean_drop(self) -> float:
        """In nats; NaN of nothing."""
        return self.total_drop / self.count if self.count else math.nan


@dataclass(slots=True)
class Gate:
    """What the gate said of all branches, and the accepted ones worth showing."""

    accepted: Tally = field(default_factory=Tally)
    too_weak: Tally = field(default_factory=Tally)
    """The hint lowers the mistake, but by less than the threshold."""
    harmful: Tally = field(default_factory=Tally)
    """The hint makes the mistake more likely."""
    unlocated: int = 0
    """Findings that never became a branch."""
    shown: tuple[BranchRow, ...] = ()

    @property
    def branches(self) -> Tally:
        """All of them."""
        parts = (self.accepted, self.too_weak, self.harmful)
        return Tally(sum(t.count for t in parts), sum(t.total_drop for t in parts))

    def count(self, branch: BranchRow) -> None:
        """Add a branch to the tally of its fate."""
        lowered = self.harmful if branch.drop_nats < 0 else self.too_weak
        tally = self.accepted if branch.accepted else lowered
        tally.count += 1
        tally.total_drop += branch.drop_nats


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything the report is made of, but the trajectories of its examples."""

    summary: Summary
    recipe: Recipe
    recipe_text: str
    steps: tuple[StepRow, ...]
    gate: Gate


def read_inputs(run: RunDir, num_examples: int) -> Inputs:
    """Read a finished run. Raises ``DataError`` where a file is missing or is not of a run."""
    if not run.summary.exists():
        raise DataError(f"{run.summary}: not there; a report is made of a finished run")
    summary = _row(Summary, run.summary.read_text(encoding="utf-8"), str(run.summary))
    metrics = list(run.rows(run.metrics))
    gate = read_gate(_branches(run), num_examples)
    gate.unlocated = sum(int(row.get("distill/unlocated", 0)) for row in metrics)
    return Inputs(
        summary=summary,
        recipe=load_recipe(run.recipe),
        recipe_text=run.recipe.read_text(encoding="utf-8"),
        steps=tuple(_step(row) for row in metrics),
        gate=gate,
    )


def read_gate(branches: Iterable[BranchRow], num_examples: int) -> Gate:
    """Tally the branches, in memory that does not grow with their number.

    Shown are accepted ones of distinct categories where possible; among those, the earliest step
    comes first, and in it the hint that lowers its mistake most.
    """
    gate = Gate()
    best: dict[str, list[BranchRow]] = defaultdict(list)
    for branch in branches:
        gate.count(branch)
        if branch.accepted:
            own = best[branch.category]
            own.append(branch)
            own.sort(key=_earliest_then_clearest)
            del own[num_examples:]
    ranked = sorted(
        ((nth, branch) for own in best.values() for nth, branch in enumerate(own)),
        key=lambda ranked: (ranked[0], *_earliest_then_clearest(ranked[1])),
    )
    gate.shown = tuple(branch for _, branch in ranked[:num_examples])
    return gate


def _earliest_then_clearest(branch: BranchRow) -> tuple[int, float]:
    return branch.step, -branch.drop_nats


def _branches(run: RunDir) -> Iterator[BranchRow]:
    for number, row in enumerate(run.rows(run.branches), start=1):
        yield _row(BranchRow, row, f"{run.branches}, row {number}")


def _step(row: Mapping[str, Any]) -> StepRow:
    names = ("critic/error_rate", "rollout/success", "distill/accepted", "distill/anchor_kl")
    return StepRow(int(row["step"]), *(float(row.get(name, math.nan)) for name in names))


def _row(kind: type[RowT], value: str | Mapping[str, Any], where: str) -> RowT:
    try:
        if isinstance(value, str):
            return kind.model_validate_json(value)
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "record"
        raise DataError(f"{where}: {key}: {first['msg']}") from error
