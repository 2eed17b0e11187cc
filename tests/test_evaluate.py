"""Evaluation: shares with intervals, and drift that ignores what is meant to change."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from agentsd.evaluate import Proportion, drift, evaluate
from agentsd.types import (
    Finding,
    Message,
    Outcome,
    Span,
    StopReason,
    TokenLog,
    ToolCall,
    Trajectory,
)


def trajectory(id_: str, num_calls: int, score: float | None = 1.0) -> Trajectory:
    calls = tuple(ToolCall(f"c{i}", "add", "{}", {}) for i in range(num_calls))
    messages = (Message("user", "x"), Message("assistant", "", tool_calls=calls))
    done = StopReason.DONE
    return Trajectory(id_, id_, "e", (), messages, outcome=Outcome(score), stop_reason=done)


def finding(id_: str, call: int, category: str) -> Finding:
    return Finding(id_, 0, call, "call", "", None, category, "minor", "", "h", 1.0, "rules")


def test_wilson_interval_of_five_in_ten_and_of_none_in_ten() -> None:
    # Closed form: 0 of 10 gives [0, z^2 / (10 + z^2)] = [0, 3.8415 / 13.8415].
    assert Proportion(0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Proportion(5, 10).interval == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert all(math.isnan(bound) for bound in Proportion(0, 0).interval)


def test_a_call_counts_once_however_many_findings_it_has() -> None:
    findings = [finding("a", 0, "T01"), finding("a", 0, "T10"), finding("b", 1, "T04")]
    result = evaluate([trajectory("a", 3), trajectory("b", 2)], findings)
    assert (result.errors.count, result.errors.total) == (2, 5)
    assert {c: p.count for c, p in result.by_category.items()} == {"T01": 1, "T04": 1}


def test_abstentions_and_void_episodes_count_nowhere() -> None:
    void = replace(trajectory("v", 4), stop_reason=StopReason.INFRA, outcome=Outcome(None, "gone"))
    findings = [finding("a", 0, "X2"), finding("v", 0, "T01")]
    result = evaluate([trajectory("a", 2), void], findings)
    assert (result.errors.count, result.errors.total, result.episodes) == (0, 2, 1)
    assert result.void == {"gone": 1}


def test_unscored_is_not_failed() -> None:
    runs = [trajectory("a", 1), trajectory("b", 1, None), trajectory("c", 1, 0.0)]
    assert evaluate(runs, []).success == Proportion(1, 2)


def model(seed: int) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    return Qwen3ForCausalLM(config).eval()


def test_drift_is_the_mean_kl_over_the_sampled_tokens_of_faultless_turns() -> None:
    ids = (1, 2, 3, 4, 5, 6, 7, 8)
    sampled = (False, False, True, True, False, False, True, True)
    log = TokenLog(ids, sampled, None, (Span(1, 4), Span(5, 8)))
    run = replace(trajectory("a", 1), token_logs=(log,))
    now, before = model(0), model(1)
    with torch.no_grad():
        p = now(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
        q = before(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    kl = (p.exp() * (p - q)).sum(-1)
    # Turn 1 has a finding; turn 0 samples tokens 2 and 3, which rows 1 and 2 predict.
    wrong = [replace(finding("a", 0, "T01"), turn=1)]
    assert drift(now, before, [run], wrong) == pytest.approx(kl[1:3].mean().item(), rel=1e-4)
    assert drift(now, now, [run], []) == pytest.approx(0.0, abs=1e-7)
    both = [finding("a", 0, "T01"), *wrong]
    assert math.isnan(drift(now, before, [run], both))
