"""A token log only ever grows, and knows who chose each token."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Literal

import pytest

from agentsd.errors import TokenError
from agentsd.sampling import Completion
from agentsd.tokenlog import LogBuilder, grows
from agentsd.types import Span

Finish = Literal["stop", "length"]


def completion(*ids: int, logprob: float = -0.5, finish: Finish = "stop") -> Completion:
    return Completion(ids, (logprob,) * len(ids), finish, "v0")


def two_turns() -> LogBuilder:
    builder = LogBuilder()
    builder.add_prompt([1, 2, 3])
    builder.add_turn([4], completion(5, 6))
    builder.add_prompt([7, 8])
    builder.add_turn([4], completion(9, logprob=-0.25))
    return builder


def test_a_turn_covers_its_generation_prompt_and_its_sampled_tokens():
    log = two_turns().log()
    assert log.ids == (1, 2, 3, 4, 5, 6, 7, 8, 4, 9)
    assert log.turns == (Span(3, 6), Span(8, 10))
    assert log.sampled_span(0) == Span(4, 6)
    assert log.sampled_span(1) == Span(9, 10)


def test_only_sampled_tokens_have_logprobs():
    log = two_turns().log()
    assert log.sampled == (False,) * 4 + (True,) * 2 + (False,) * 3 + (True,)
    assert log.logprobs == (None,) * 4 + (-0.5,) * 2 + (None,) * 3 + (-0.25,)


def test_asking_for_a_prompt_records_nothing():
    builder = two_turns()
    before = builder.log()
    assert builder.prompt([4]) == (*before.ids, 4)
    assert builder.log() == before
    assert len(builder) == 10
    assert builder.num_turns == 2


def test_a_log_taken_early_is_a_prefix_of_every_later_one():
    builder = LogBuilder()
    builder.add_prompt([1])
    logs = [builder.log()]
    for token in range(3):
        builder.add_turn([4], completion(token))
        logs.append(builder.log())
    assert all(grows(a, b) for a, b in pairwise(logs))
    assert not grows(logs[1], logs[0])


def test_a_changed_token_is_not_growth():
    log = two_turns().log()
    assert not grows(replace(log, ids=(0, *log.ids[1:])), log)


def test_a_log_that_starts_late_numbers_its_turns_from_there():
    builder = LogBuilder(first_turn=5)
    builder.add_prompt([1])
    builder.add_turn([], completion(2))
    assert builder.log().sampled_span(5) == Span(1, 2)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Completion((), (), "length", "v0"), "no token"),
        (Completion((5, 6), (-0.5,), "stop", "v0"), "1 log-probabilities for 2 tokens"),
        (Completion((5,), (float("nan"),), "stop", "v0"), "not finite"),
        (Completion((5,), (float("-inf"),), "stop", "v0"), "not finite"),
    ],
)
def test_a_completion_that_cannot_be_trained_on_leaves_the_log_unchanged(
    bad: Completion, reason: str
):
    builder = two_turns()
    before = builder.log()
    with pytest.raises(TokenError, match=reason):
        builder.add_turn([4], bad)
    assert builder.log() == before


def test_a_sampled_token_needs_something_before_it():
    with pytest.raises(TokenError, match="add_prompt comes first"):
        LogBuilder().add_turn([], completion(1))
