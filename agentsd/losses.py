"""Divergences between two next-token distributions, per token, exact over the whole vocabulary.

Every divergence is a pure function ``(student_NV, teacher_NV) -> (N,)`` of *logits*, in nats. The
teacher is a constant: no gradient flows into it. ``p`` is the student's distribution, ``q`` the
teacher's, ``z`` the student's logits. Knows nothing of models, branches or weights.

Which one: on a confident mistake (``p = .999`` where ``q = .05``) the gradient on the mistaken
logit is .949 for the forward KL, .008 for the reverse KL and .003 for the JSD: the last two compare
a token with the student's average over tokens, and a confident student is its own average.

Shape suffixes: N selected tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def forward_kl(student_NV: Tensor, teacher_NV: Tensor) -> Tensor:
    """KL(teacher || student) for each selected token. Returns shape (N,).

    ``sum_v q (log q - log p)``; gradient ``d/dz = p - q``, never larger than 1 per logit. Used for
    self-distillation in SDFT (arXiv:2601.19897) and on key spans in TRACE (arXiv:2605.10194).
    """
    student_logp_NV, teacher_logp_NV = _log_probs(student_NV, teacher_NV)
    return _kl(teacher_logp_NV, student_logp_NV)


def reverse_kl(student_NV: Tensor, teacher_NV: Tensor) -> Tensor:
    """KL(student || teacher) for each selected token. Returns shape (N,).

    ``sum_v p (log p - log q)``; gradient ``d/dz = p (log p - log q - KL)``, which vanishes where
    the student is sure. Used by MiniLLM (arXiv:2306.08543) and HINT-SD (arXiv:2605.17873).
    """
    student_logp_NV, teacher_logp_NV = _log_probs(student_NV, teacher_NV)
    return _kl(student_logp_NV, teacher_logp_NV)


def jsd(student_NV: Tensor, teacher_NV: Tensor, beta: float = 0.5) -> Tensor:
    """Generalised Jensen-Shannon divergence for each selected token. Returns shape (N,).

    ``(1 - beta) KL(p || m) + beta KL(q || m)`` with ``m = (1 - beta) p + beta q``; gradient
    ``d/dz = (1 - beta) p (log p - log m - KL(p || m))``. Bounded by log 2 at ``beta = .5``. Divided
    by ``beta`` it tends to the forward KL as ``beta`` goes to 0, divided by ``1 - beta`` to the
    reverse KL as ``beta`` goes to 1. From GKD (arXiv:2306.13649).

    Raises ``ValueError`` unless ``0 < beta < 1``.
    """
    if not 0.0 < beta < 1.0:
        raise ValueError(f"jsd needs 0 < beta < 1, got {beta}; use forward_kl or reverse_kl")
    student_logp_NV, teacher_logp_NV = _log_probs(student_NV, teacher_NV)
    middle_logp_NV = torch.logaddexp(
        student_logp_NV + math.log1p(-beta), teacher_logp_NV + math.log(beta)
    )
    student_N = _kl(student_logp_NV, middle_logp_NV)
    teacher_N = _kl(teacher_logp_NV, middle_logp_NV)
    return (1.0 - beta) * student_N + beta * teacher_N


def capped(loss_N: Tensor, cap: float) -> Tensor:
    """Scale every loss above ``cap`` down to ``cap``. Returns shape (N,).

    Scaling keeps the direction of the gradient; clamping would set it to zero exactly where the
    student is most wrong. Per-token caps are from OPSD (arXiv:2601.18734), where they are clamps.

    Raises ``ValueError`` unless ``cap`` is positive.
    """
    if not cap > 0.0:
        raise ValueError(f"the cap on a token's loss must be positive, got {cap}")
    return loss_N * (cap / loss_N.detach().clamp(min=cap))


def mean_over_spans(
    losses: Sequence[Sequence[Tensor]], num_trajectories: int | None = None
) -> Tensor:
    """Mean over a span's tokens, then a trajectory's spans, then trajectories. Returns a scalar.

    ``losses[i][j]`` holds the per-token losses of span ``j`` of trajectory ``i``. So a long
    argument weighs as much as a one-token tool name. Trajectories without a span do not count; give
    ``num_trajectories`` when ``losses`` is one part of a batch and the parts' results are added.

    Raises ``ValueError`` when there is no span at all.
    """
    per_trajectory = [
        torch.stack([loss_N.mean() for loss_N in spans]).mean() for spans in losses if spans
    ]
    if not per_trajectory:
        raise ValueError("there is no span to average over; skip the batch")
    return torch.stack(per_trajectory).sum() / (num_trajectories or len(per_trajectory))


def _log_probs(student_NV: Tensor, teacher_NV: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of both, at least in single precision. Two tensors of shape (N, V)."""
    if student_NV.shape != teacher_NV.shape:
        raise ValueError(
            f"student and teacher logits differ in shape, {tuple(student_NV.shape)} and "
            f"{tuple(teacher_NV.shape)}; both need one row per selected token"
        )
    dtype = torch.promote_types(student_NV.dtype, torch.float32)
    return student_NV.log_softmax(-1, dtype), teacher_NV.detach().log_softmax(-1, dtype)


def _kl(left_logp_NV: Tensor, right_logp_NV: Tensor) -> Tensor:
    """KL(left || right) from log-probabilities. Returns shape (N,)."""
    return (left_logp_NV.exp() * (left_logp_NV - right_logp_NV)).sum(-1)
