"""Where the tokens of branches go: which run, at which positions, and which rows matter.

A branch asks for ``model(ids[:at] + hint_ids + ids[at:span.stop])`` at the rows that predict
``span``. All but its *tail* is a prefix of the sequence itself, so only tails are laid out here.
Plain integers; knows nothing of tensors, masks or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentsd.types import Branch, Span


def rows_predicting(span: Span) -> range:
    """The logit rows whose next token lies in ``span``.

    >>> rows_predicting(Span(5, 8))
    range(4, 7)
    """
    return range(span.start - 1, span.stop - 1)


@dataclass(frozen=True, slots=True)
class Tail:
    """What a branch adds to a prefix of its sequence."""

    num_seen: int
    """The tail continues ``ids[:num_seen]`` and sees nothing else of the sequence."""
    ids: tuple[int, ...]
    rows: range
    """The rows, within ``ids``, that predict the branch's span."""


@dataclass(frozen=True, slots=True)
class Packing:
    """The tails of one sequence laid end to end; one entry per token, ``rows`` one per tail."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    """Where the token stands in its own spliced sequence."""
    owners: tuple[int, ...]
    """Which tail the token belongs to."""
    num_seen: tuple[int, ...]
    """How many tokens of the sequence the token may attend to."""
    rows: tuple[range, ...]


def check_branches(ids: Sequence[int], branches: Sequence[Branch]) -> None:
    """Raise ``ValueError`` where a branch does not fit a sequence."""
    if not ids:
        raise ValueError("got an empty sequence; a branch needs at least the token it judges")
    for index, branch in enumerate(branches):
        if branch.span.stop > len(ids):
            raise ValueError(
                f"branch {index} judges tokens [{branch.span.start}, {branch.span.stop}) of a "
                f"sequence of {len(ids)}; a branch must point into its own sequence"
            )


def tail_of(ids: Sequence[int], branch: Branch) -> Tail:
    """The part of a branch that is not a prefix of ``ids``, up to the last row it needs.

    >>> tail_of([10, 11, 12, 13, 14], Branch(at=2, hint_ids=(7, 8), span=Span(3, 5)))
    Tail(num_seen=2, ids=(7, 8, 12, 13), rows=range(2, 4))
    """
    num_seen, start = branch.at, branch.hint_ids
    if not start:
        # Nothing is inserted, so the row that predicts token `at` is that of the token before it.
        num_seen, start = branch.at - 1, (ids[branch.at - 1],)
    tail_ids = (*start, *ids[branch.at : branch.span.stop - 1])
    return Tail(num_seen, tail_ids, range(len(tail_ids) - len(branch.span), len(tail_ids)))


def pack(tails: Sequence[Tail]) -> Packing:
    """Lay the tails of one sequence end to end.

    >>> pack([Tail(2, (7, 12), range(1, 2)), Tail(1, (8, 9), range(0, 2))]).positions
    (2, 3, 1, 2)
    """
    ids: list[int] = []
    positions: list[int] = []
    owners: list[int] = []
    num_seen: list[int] = []
    rows: list[range] = []
    for owner, tail in enumerate(tails):
        offset, size = len(ids), len(tail.ids)
        ids.extend(tail.ids)
        positions.extend(range(tail.num_seen, tail.num_seen + size))
        owners.extend([owner] * size)
        num_seen.extend([tail.num_seen] * size)
        rows.append(range(offset + tail.rows.start, offset + tail.rows.stop))
    return Packing(tuple(ids), tuple(positions), tuple(owners), tuple(num_seen), tuple(rows))
