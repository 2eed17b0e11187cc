"""A call as a form's parser hands it over. Knows nothing of any form, turn or id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentsd.types import CallSpans, Span, ToolCall, ToolSpec


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a text stops being a well-formed call, and why."""

    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class Draft:
    """One call that a parser found; ``finish`` turns it into a ``ToolCall``."""

    call: Span
    """The whole block, markers included."""
    name: str = ""
    name_span: Span | None = None
    arguments: Mapping[str, Any] | None = None
    arguments_span: Span | None = None
    problems: tuple[Problem, ...] = ()
    """In any order; the first in the text counts. The call is well-formed when there is none."""


Parser = Callable[[str, int, Sequence[ToolSpec]], list[Draft]]
"""Finds the calls of a text from a position on. Never raises; its drafts do not overlap."""


def finish(text: str, draft: Draft, call_id: str) -> ToolCall:
    """The call with its raw characters; malformed ones lose their arguments and gain a problem."""
    first = min(draft.problems, key=lambda problem: problem.at, default=None)
    raw = draft.arguments_span
    return ToolCall(
        id=call_id,
        name=draft.name,
        raw_arguments=text[raw.start : raw.stop] if raw else "",
        arguments=None if first else draft.arguments,
        problem=first.reason if first else None,
        spans=CallSpans(draft.call, draft.name_span, raw, _problem_span(draft.call, first)),
    )


def _problem_span(call: Span, problem: Problem | None) -> Span | None:
    """From the problem to the end of the call; empty when the call merely ends too early."""
    return Span(min(problem.at, call.stop), call.stop) if problem else None


def texts_outside(text: str, start: int, drafts: Iterable[Draft]) -> list[str]:
    """What stands between, before and after the calls, stripped; empty pieces are left out."""
    pieces: list[str] = []
    for draft in drafts:
        pieces.append(text[start : draft.call.start].strip())
        start = draft.call.stop
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]
