"""Judge a policy on held-out tasks: errors per call by category, success, drift.

Knows nothing of training; the same numbers before and after are what a run is judged by.

Shape suffixes: T tokens, N selected tokens, V vocabulary, D hidden.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from agentsd.causal_lm import hidden_states, project
from agentsd.losses import reverse_kl
from agentsd.rollout import usable, voided
from agentsd.types import Finding, TokenLog, Trajectory

Z_95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """A count of successes with its 95 % Wilson score interval (Wilson, 1927)."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound.

        >>> low, high = Proportion(5, 10).interval
        >>> round(low, 3), round(high, 3)
        (0.237, 0.763)
        """
        if not self.total:
            return (math.nan, math.nan)
        n, p, zz = self.total, self.value, Z_95 * Z_95
        middle = (p + zz / (2 * n)) / (1 + zz / n)
        half = Z_95 * math.sqrt(p * (1 - p) / n + zz / (4 * n * n)) / (1 + zz / n)
        return (max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the critic and the environments say about some trajectories."""

    episodes: int
    """That count: infrastructure did not end them."""
    errors: Proportion
    """Calls with at least one finding, of all calls."""
    by_category: Mapping[str, Proportion]
    """Calls whose first finding is of the category, of all calls."""
    success: Proportion
    """Episodes with full score, of the scored ones."""
    turns: float
    """Mean per episode."""
    void: Mapping[str, int]
    """Episodes that infrastructure ended, by cause; not counted anywhere else."""


def evaluate(trajectories: Sequence[Trajectory], findings: Iterable[Finding]) -> Evaluation:
    """Count. Calls that the policy never got to see answered count as well."""
    counted = usable(trajectories)
    calls = sum(len(m.tool_calls) for t in counted for m in t.messages)
    wrong = first_categories(findings)
    known = {t.id for t in counted}
    categories = Counter(category for key, category in wrong.items() if key[0] in known)
    scores = [t.outcome.score for t in counted if t.outcome.score is not None]
    return Evaluation(
        episodes=len(counted),
        errors=Proportion(categories.total(), calls),
        by_category={c: Proportion(n, calls) for c, n in sorted(categories.items())},
        success=Proportion(sum(score >= 1.0 for score in scores), len(scores)),
        turns=sum(len(t.turns()) for t in counted) / max(1, len(counted)),
        void=voided(trajectories),
    )


def first_categories(findings: Iterable[Finding]) -> dict[tuple[str, int, int], str]:
    """(trajectory, turn, call) of every erroneous call to the category of its first finding."""
    first: dict[tuple[str, int, int], str] = {}
    for finding in findings:
        if not finding.is_abstention and finding.call_index is not None:
            key = (finding.trajectory_id, finding.turn, finding.call_index)
            first.setdefault(key, finding.category)
    return first


@torch.no_grad()
def drift(
    policy: PreTrainedModel,
    initial: PreTrainedModel,
    trajectories: Sequence[Trajectory],
    findings: Iterable[Finding],
) -> float:
    """KL(policy || initial) in nats per token, over the sampled tokens of faultless turns.

    ``trajectories`` were sampled from the initial policy; turns with a finding are left out, for
    there the policy is meant to change. Returns NaN when nothing is left.
    """
    faulty = {(finding.trajectory_id, finding.turn) for finding in findings}
    total, count = 0.0, 0
    for trajectory in usable(trajectories):
        for log in trajectory.token_logs:
            rows = _faultless_rows(log, trajectory.id, faulty)
            if rows:
                kl_N = _kl_at(policy, initial, log, rows)
                total, count = total + kl_N.sum().item(), count + len(rows)
    return total / count if count else math.nan


def _faultless_rows(log: TokenLog, trajectory_id: str, faulty: set[tuple[str, int]]) -> list[int]:
    rows: list[int] = []
    for turn in range(log.first_turn, log.first_turn + len(log.turns)):
        if (trajectory_id, turn) not in faulty:
            span = log.sampled_span(turn)
            rows.extend(range(span.start - 1, span.stop - 1))
    return rows


def _kl_at(
    policy: PreTrainedModel, initial: PreTrainedModel, log: TokenLog, rows: Sequence[int]
) -> torch.Tensor:
    ids = log.ids[: rows[-1] + 1]
    now_NV = project(policy, hidden_states(policy, [ids])[0][list(rows)])
    before_NV = project(initial, hidden_states(initial, [ids])[0][list(rows)])
    return reverse_kl(now_NV, before_NV)
