"""What a step is described by: named numbers, and one row for each branch.

Names are ``area/name``; shares are of calls or of episodes as said. Knows nothing of how the
numbers are shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from agentsd.chat import Chat
from agentsd.distill import Judged
from agentsd.evaluate import Evaluation
from agentsd.selection import Selection

Metrics = dict[str, float]


def step_metrics(evaluation: Evaluation, selection: Selection, judged: Sequence[Judged]) -> Metrics:
    """The step's rollouts as the critic sees them, and what the gate let through."""
    accepted = [j for j in judged if j.verdict.is_accepted]
    shares = {f"critic/{c}_per_call": p.value for c, p in evaluation.by_category.items()}
    return {
        "rollout/episodes": evaluation.episodes,
        "rollout/void": sum(evaluation.void.values()),
        "rollout/turns": evaluation.turns,
        "rollout/success": _finite(evaluation.success.value),
        "critic/error_rate": _finite(evaluation.errors.value),
        **shares,
        "distill/branches": len(judged),
        "distill/accepted": len(accepted),
        "distill/unlocated": len(selection.rejections),
        "distill/selected_tokens": sum(len(j.token_ids) for j in accepted),
        "distill/drop_nats": fmean(j.verdict.drop for j in accepted) if accepted else 0.0,
    }


def branch_row(step: int, judged: Judged, chat: Chat) -> dict[str, Any]:
    """One line of ``branches.jsonl``: the finding, the verdict, and every erroneous token."""
    finding, verdict = judged.candidate.finding, judged.verdict
    numbers = zip(
        judged.token_ids,
        judged.student_logprobs,
        judged.teacher_logprobs,
        judged.divergences,
        strict=True,
    )
    return {
        "step": step,
        "trajectory_id": finding.trajectory_id,
        "turn": finding.turn,
        "call_index": finding.call_index,
        "category": finding.category,
        "quote": finding.quote,
        "hint": finding.hint,
        "accepted": verdict.is_accepted,
        "reason": verdict.reason,
        "drop_nats": verdict.drop,
        "tokens": [
            {
                "text": chat.text_of([token]),
                "student_p": math.exp(student),
                "teacher_p": math.exp(teacher),
                "divergence": divergence,
            }
            for token, student, teacher, divergence in numbers
        ],
    }


def _finite(value: float) -> float:
    """JSON has no NaN: an undefined share is written as 0 beside a count of 0."""
    return value if math.isfinite(value) else 0.0
