"""Micro-batches: every sequence once, within the limit, alike in length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentsd.batching import micro_batches


@given(st.lists(st.integers(1, 50)), st.integers(1, 120))
def test_every_sequence_is_in_one_batch_that_fits_or_holds_it_alone(
    lengths: list[int], max_tokens: int
) -> None:
    batches = list(micro_batches(lengths, max_tokens))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[i] for i in batch)
        assert padded <= max_tokens or len(batch) == 1
