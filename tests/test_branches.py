"""Tails and packings, replayed by hand against the spliced sequence they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsd.branches import check_branches, pack, rows_predicting, tail_of
from agentsd.types import Branch, Span

TOKENS = st.integers(0, 99)


@st.composite
def sequence_and_branches(draw: st.DrawFn) -> tuple[list[int], list[Branch]]:
    ids = draw(st.lists(TOKENS, min_size=2, max_size=20))
    branches = []
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(1, len(ids) - 1))
        start = draw(st.integers(at, len(ids) - 1))
        stop = draw(st.integers(start + 1, len(ids)))
        hint_ids = tuple(draw(st.lists(TOKENS, max_size=5)))
        branches.append(Branch(at, hint_ids, Span(start, stop)))
    return ids, branches


@given(sequence_and_branches())
def test_every_packed_token_stands_where_the_spliced_sequence_has_it(
    drawn: tuple[list[int], list[Branch]],
) -> None:
    ids, branches = drawn
    packing = pack([tail_of(ids, branch) for branch in branches])
    for token, position, owner, num_seen in zip(
        packing.ids, packing.positions, packing.owners, packing.num_seen, strict=True
    ):
        branch = branches[owner]
        spliced = [*ids[: branch.at], *branch.hint_ids, *ids[branch.at : branch.span.stop]]
        assert spliced[position] == token
        assert spliced[:num_seen] == ids[:num_seen]
        assert num_seen <= position


@given(sequence_and_branches())
def test_the_packed_rows_are_those_that_predict_each_span(
    drawn: tuple[list[int], list[Branch]],
) -> None:
    ids, branches = drawn
    packing = pack([tail_of(ids, branch) for branch in branches])
    for owner, (branch, rows) in enumerate(zip(branches, packing.rows, strict=True)):
        spliced_span = branch.span.shift(len(branch.hint_ids))
        assert [packing.owners[row] for row in rows] == [owner] * len(branch.span)
        assert [packing.positions[row] for row in rows] == list(rows_predicting(spliced_span))


@given(sequence_and_branches())
def test_a_packing_holds_the_hints_and_spans_and_nothing_else(
    drawn: tuple[list[int], list[Branch]],
) -> None:
    ids, branches = drawn
    packing = pack([tail_of(ids, branch) for branch in branches])
    # The last token of a span predicts nothing that is asked for; without a hint the token before
    # the branch runs again in its place.
    assert len(packing.ids) == sum(
        max(1, len(branch.hint_ids)) + branch.span.stop - 1 - branch.at for branch in branches
    )


def test_a_branch_beyond_its_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"branch 1 judges tokens \[3, 6\) of a sequence of 5"):
        check_branches([1, 2, 3, 4, 5], [Branch(1, (), Span(1, 2)), Branch(2, (9,), Span(3, 6))])


def test_an_empty_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="empty sequence"):
        check_branches([], [])
