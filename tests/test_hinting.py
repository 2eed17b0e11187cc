"""Inserting a hint moves tokens and loses none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsd.hinting import insert_hint
from agentsd.types import Branch, Span


@given(st.data())
def test_every_token_is_where_the_map_says_and_removal_restores(data: st.DataObject) -> None:
    ids = data.draw(st.lists(st.integers(0, 9), min_size=2, max_size=30))
    at = data.draw(st.integers(1, len(ids) - 1))
    hint = tuple(data.draw(st.lists(st.integers(10, 19), max_size=5)))
    hinted = insert_hint(ids, Branch(at, hint, Span(at, len(ids))))
    assert [hinted.ids[hinted.moved(i)] for i in range(len(ids))] == ids
    assert hinted.without_hint() == tuple(ids)
    assert hinted.ids[hinted.hint.start : hinted.hint.stop] == hint


def test_a_branch_outside_the_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"judges \[3, 5\) of 4 tokens"):
        insert_hint((1, 2, 3, 4), Branch(2, (9,), Span(3, 5)))
