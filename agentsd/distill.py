"""Token-local distillation of one micro-batch: targets in, a scalar loss and a record out.

    loss = mean over trajectories of
             mean over accepted spans of mean over tokens of min(D(student, hinted teacher), cap)
           + anchor weight * mean over anchor tokens of KL(initial || student)

Shape suffixes: B sequences, T tokens, D hidden, N selected tokens, V vocabulary.
Knows nothing of how trajectories, hints or targets came about.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from agentsd.config import TrainConfig
from agentsd.gate import Verdict, judge
from agentsd.losses import capped, forward_kl, jsd, mean_over_spans, reverse_kl
from agentsd.selection import Candidate, Example
from agentsd.targets import OnePass, project, rows_predicting
from agentsd.types import Span

DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jsd": jsd,
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A branch after the forward passes: what student and hinted teacher say about its tokens."""

    candidate: Candidate
    verdict: Verdict
    token_ids: tuple[int, ...]
    student_logprobs: tuple[float, ...]
    """Of the erroneous tokens, in nats."""
    teacher_logprobs: tuple[float, ...]
    divergences: tuple[float, ...]
    """Per token, in nats, before the cap."""


@dataclass(frozen=True, slots=True)
class Distilled:
    """The loss of one micro-batch, with gradient, and what it is made of."""

    loss: Tensor
    judged: tuple[Judged, ...]
    anchor_kl: float
    """Sum over trajectories of their mean KL to the initial policy, in nats per token."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What turns the sums of a micro-batch into means of the batch it is part of."""

    num_trajectories: int
    min_drop: float
    """The gate's threshold, in nats."""


def distill(
    policy: PreTrainedModel,
    examples: Sequence[Example],
    targets: OnePass,
    initial_NV: Sequence[Tensor],
    cfg: TrainConfig,
    scale: Scale,
) -> Distilled:
    """The loss of ``examples``, of which ``targets`` is the one pass.

    ``initial_NV[i]`` are the initial policy's logits at the rows that predict the anchors of
    example ``i``; empty where there is no anchor term.
    """
    judged: list[Judged] = []
    losses: list[list[Tensor]] = []
    for row, example in enumerate(examples):
        losses.append([])
        for candidate, teacher_NV in zip(example.candidates, targets.targets[row], strict=True):
            student_NV = _rows(policy, targets.hidden_BTD[row], candidate.branch.span)
            loss_N = DIVERGENCES[cfg.divergence](student_NV, teacher_NV)
            judged.append(_judge(example, candidate, student_NV, teacher_NV, loss_N, scale))
            if judged[-1].verdict.is_accepted:
                losses[-1].append(capped(loss_N, cfg.token_cap))
    loss = targets.hidden_BTD.sum() * 0.0
    if any(losses):
        loss = loss + mean_over_spans(losses, scale.num_trajectories)
    anchor = _anchor(policy, examples, targets.hidden_BTD, initial_NV)
    loss = loss + cfg.anchor_weight * anchor / scale.num_trajectories
    return Distilled(loss, tuple(judged), anchor.item())


def thinned_anchors(example: Example, count: int, rng: random.Random) -> tuple[int, ...]:
    """At most ``count`` of the example's anchors, so that memory does not grow with length."""
    if len(example.anchors) <= count:
        return example.anchors
    return tuple(sorted(rng.sample(example.anchors, count)))


def anchor_logits(model: PreTrainedModel, hidden_TD: Tensor, anchors: Sequence[int]) -> Tensor:
    """The logits that predict the tokens at ``anchors``; shape (N, V)."""
    return project(model, hidden_TD[[position - 1 for position in anchors]])


def _anchor(
    policy: PreTrainedModel,
    examples: Sequence[Example],
    hidden_BTD: Tensor,
    initial_NV: Sequence[Tensor],
) -> Tensor:
    """Sum over examples of the mean KL(initial || student) on their anchors; a scalar."""
    means = [
        forward_kl(anchor_logits(policy, hidden_BTD[row], example.anchors), before_NV).mean()
        for row, (example, before_NV) in enumerate(zip(examples, initial_NV, strict=False))
        if example.anchors
    ]
    return torch.stack(means).sum() if means else hidden_BTD.new_zeros(())


def _rows(policy: PreTrainedModel, hidden_TD: Tensor, span: Span) -> Tensor:
    rows = rows_predicting(span)
    return project(policy, hidden_TD[rows.start : rows.stop])


def _judge(
    example: Example,
    candidate: Candidate,
    student_NV: Tensor,
    teacher_NV: Tensor,
    loss_N: Tensor,
    scale: Scale,
) -> Judged:
    span = candidate.branch.span
    ids = example.log.ids[span.start : span.stop]
    student = _logprobs_of(ids, student_NV)
    teacher = _logprobs_of(ids, teacher_NV)
    verdict = judge(student, teacher, scale.min_drop)
    return Judged(candidate, verdict, ids, student, teacher, tuple(loss_N.tolist()))


@torch.no_grad()
def _logprobs_of(ids: Sequence[int], logits_NV: Tensor) -> tuple[float, ...]:
    chosen_N1 = torch.tensor(ids, device=logits_NV.device)[:, None]
    return tuple(logits_NV.float().log_softmax(-1).gather(1, chosen_N1)[:, 0].tolist())
