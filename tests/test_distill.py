"""Distillation: what is trained, what is held, and what has no gradient at all."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from agentsd.config import TrainConfig
from agentsd.distill import Distilled, Scale, anchor_logits, distill, thinned_anchors
from agentsd.selection import Candidate, Example
from agentsd.targets import OnePass, one_pass
from agentsd.types import Branch, Finding, Span, TokenLog

IDS = tuple(range(1, 25))


def tiny(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
        )
    ).eval()


def example(branches: list[Branch], anchors: tuple[int, ...] = ()) -> Example:
    finding = Finding("t", 0, 0, "name", "x", None, "T01", "critical", "", "hint", 1.0, "rules")
    log = TokenLog(IDS, (True,) * len(IDS), None, (Span(0, len(IDS)),))
    return Example("t", log, tuple(Candidate(finding, branch) for branch in branches), anchors)


def run(
    model: PreTrainedModel,
    examples: list[Example],
    *,
    teacher: PreTrainedModel | None = None,
    min_drop: float = -1e9,
    **cfg: object,
) -> Distilled:
    """Distil with every hint accepted unless ``min_drop`` says otherwise."""
    branches = [[c.branch for c in e.candidates] for e in examples]
    targets: OnePass = one_pass(model, [e.log.ids for e in examples], branches, teacher=teacher)
    initial = []
    if teacher is not None:
        hidden_BTD = targets.teacher_hidden_BTD
        assert hidden_BTD is not None
        initial = [
            anchor_logits(teacher, hidden_BTD[row], e.anchors) for row, e in enumerate(examples)
        ]
    config = TrainConfig.model_validate(cfg)
    return distill(model, examples, targets, initial, config, Scale(len(examples), min_drop))


def test_an_empty_hint_of_the_policy_itself_teaches_nothing() -> None:
    model = tiny()
    out = run(model, [example([Branch(5, (), Span(8, 12))])])
    out.loss.backward()
    assert out.loss.item() == pytest.approx(0.0, abs=1e-6)
    for parameter in model.parameters():
        torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter), atol=1e-5, rtol=0)


def test_the_loss_is_the_mean_over_tokens_then_spans_then_trajectories() -> None:
    model = tiny()
    a, b, c = (
        Branch(3, (7, 8), Span(4, 5)),
        Branch(3, (9,), Span(6, 9)),
        Branch(2, (5,), Span(2, 4)),
    )
    out = run(model, [example([a, b]), example([c])])
    per_span = [sum(j.divergences) / len(j.divergences) for j in out.judged]
    assert [len(j.divergences) for j in out.judged] == [1, 3, 2]
    expected = ((per_span[0] + per_span[1]) / 2 + per_span[2]) / 2
    assert out.loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_rejected_branch_is_reported_but_not_trained() -> None:
    model = tiny()
    out = run(model, [example([Branch(3, (7, 8), Span(4, 6))])], min_drop=1e9)
    assert not out.judged[0].verdict.is_accepted
    assert out.loss.item() == 0.0


def test_no_token_contributes_more_than_the_cap() -> None:
    model = tiny()
    branch = Branch(3, (7, 8), Span(4, 6))
    free = run(model, [example([branch])], token_cap=100.0)
    cap = min(free.judged[0].divergences) / 2
    assert run(model, [example([branch])], token_cap=cap).loss.item() == pytest.approx(cap)


def test_the_anchor_is_zero_for_the_initial_policy_and_positive_after_a_change() -> None:
    same = run(tiny(), [example([], (4, 9))], teacher=tiny())
    assert same.anchor_kl == pytest.approx(0.0, abs=1e-6)
    changed = run(tiny(1), [example([], (4, 9))], teacher=tiny(), anchor_weight=2.0)
    assert changed.anchor_kl > 0.001
    assert changed.loss.item() == pytest.approx(2.0 * changed.anchor_kl, rel=1e-5)


def test_a_step_on_the_loss_makes_the_error_less_likely_without_the_hint() -> None:
    model, teacher = tiny(), tiny()
    span = Span(10, 11)
    branches = [Branch(10, (hint,), span) for hint in range(1, 32)]
    drops = [run(model, [example([b])], teacher=teacher).judged[0].verdict.drop for b in branches]
    best = branches[drops.index(max(drops))]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    before = run(model, [example([best])], teacher=teacher)
    before.loss.backward()
    optimizer.step()
    after = run(model, [example([best])], teacher=teacher)
    assert after.judged[0].student_logprobs[0] < before.judged[0].student_logprobs[0]
    assert after.loss.item() < before.loss.item()


def test_gradients_reach_only_rows_that_are_selected() -> None:
    model = tiny()
    out = run(model, [example([Branch(5, (3,), Span(8, 10))])])
    seen: list[torch.Tensor] = []
    hidden_BTD = one_pass(model, [IDS], [[]]).hidden_BTD
    hidden_BTD.register_hook(lambda grad: seen.append(grad))
    targets = OnePass(hidden_BTD, [[torch.zeros(2, 32)]])
    only = example([Branch(5, (3,), Span(8, 10))])
    distill(model, [only], targets, [], TrainConfig(), Scale(1, -1e9)).loss.backward()
    rows = seen[0][0].abs().sum(-1).nonzero()[:, 0].tolist()
    # Tokens 8 and 9 are predicted by rows 7 and 8.
    assert rows == [7, 8]
    assert out.judged[0].token_ids == IDS[8:10]


def test_anchors_are_thinned_to_the_limit_and_keep_their_order() -> None:
    many = example([], tuple(range(1, 24)))
    thinned = thinned_anchors(many, 5, random.Random(0))
    assert len(thinned) == 5
    assert list(thinned) == sorted(set(thinned))
    assert thinned_anchors(many, 99, random.Random(0)) == many.anchors
