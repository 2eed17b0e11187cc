"""Insert hint tokens and remember where every original token went. Knows no tensors and no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentsd.types import Branch, Span


@dataclass(frozen=True, slots=True)
class Hinted:
    """A sequence with one hint in it."""

    ids: tuple[int, ...]
    hint: Span
    """Where the hint stands."""

    def moved(self, position: int) -> int:
        """Where the token stands now that stood at ``position`` before."""
        return position if position < self.hint.start else position + len(self.hint)

    def without_hint(self) -> tuple[int, ...]:
        """The sequence as it was."""
        return self.ids[: self.hint.start] + self.ids[self.hint.stop :]


def insert_hint(ids: Sequence[int], branch: Branch) -> Hinted:
    """The whole sequence with the branch's hint in front of token ``branch.at``.

    Raises ``ValueError`` when the branch points outside the sequence.

    >>> hinted = insert_hint((5, 6, 7), Branch(at=1, hint_ids=(8, 9), span=Span(2, 3)))
    >>> hinted.ids, hinted.moved(0), hinted.moved(2)
    ((5, 8, 9, 6, 7), 0, 4)
    """
    if branch.span.stop > len(ids):
        raise ValueError(
            f"branch judges [{branch.span.start}, {branch.span.stop}) of {len(ids)} tokens; "
            "findings must point into their own trajectory"
        )
    ids = tuple(ids)
    hint = Span(branch.at, branch.at + len(branch.hint_ids))
    return Hinted(ids[: branch.at] + branch.hint_ids + ids[branch.at :], hint)
