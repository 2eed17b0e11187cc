"""T05: argument values that look like ids and stand nowhere the policy could have read them.

A suspicion, not a proof. What counts as read: the tool descriptions, system and user messages,
earlier results, and the arguments of earlier calls that worked. Knows nothing of what a right value
would be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentsd.jsonspans import child, inside_quotes, locate
from agentsd.types import Span, ToolCall, Trajectory
from agentsd_critics import wording
from agentsd_critics.cases import Case, Verdict, in_arguments, value_text_span
from agentsd_critics.idlike import is_id_like, is_path_like

SEPARATOR = re.compile(r"[\W_]+")

SEPARATORS = r"[\W_]{0,2}"
"""What may stand between two characters of an id that is written differently elsewhere."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text that the policy has read, in case-folded characters."""

    message_index: int
    """Turns behind this message have read it; -1 for what stands before all messages."""
    text: str
    squeezed: str
    """The text without separators: a quick way to see that a value is not there."""
    echoed: str
    """The arguments of the refused call that the text answers: repeating them proves nothing."""

    @classmethod
    def of(cls, message_index: int, text: str, echoed: str = "") -> Source:
        """The source with this text, in whatever case."""
        folded = text.casefold()
        return cls(message_index, folded, SEPARATOR.sub("", folded), echoed.casefold())


def sources_of(trajectory: Trajectory, cases: Sequence[Case]) -> tuple[Source, ...]:
    """Everything in the trajectory that can ground a value."""
    offered = " ".join(
        f"{tool.description} {json.dumps(dict(tool.input_schema), ensure_ascii=False, default=str)}"
        for tool in trajectory.tools
    )
    told = [
        Source.of(index, message.content)
        for index, message in enumerate(trajectory.messages)
        if message.role in ("system", "user")
    ]
    returned = [source for case in cases for source in _from_call(case)]
    return (Source.of(-1, offered), *told, *returned)


def _from_call(case: Case) -> Iterator[Source]:
    """What later turns have learned from the call. Its index is the turn's: results follow it."""
    if case.result is None:
        return
    index, written = case.turn.message_index, case.call.raw_arguments
    yield Source.of(index, case.result.content, written if case.failed else "")
    if not case.failed:
        yield Source.of(index, written)


def ungrounded_values(case: Case, sources: Sequence[Source]) -> list[Verdict]:
    """A verdict for every id-like value that nothing before the call holds.

    A path that worked is let off: it was there, or the call has made it.
    """
    read = [source for source in sources if source.message_index < case.turn.message_index]
    return [
        _verdict(case, name, span)
        for name, value, span in _values(case.call)
        if is_id_like(name, value)
        and (case.failed or not is_path_like(str(value)))
        and not is_grounded(str(value), read)
    ]


def is_grounded(value: str, sources: Sequence[Source]) -> bool:
    """Whether a source holds the value as a word of its own, whatever its case and separators.

    Of a path, its last part is enough.

    >>> is_grounded("5551234", [Source.of(0, "call 555-1234.")])
    True
    >>> is_grounded("HAT03", [Source.of(0, "flight HAT030")])
    False
    """
    if is_path_like(value):
        value = re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    squeezed = SEPARATOR.sub("", value.casefold())
    if not squeezed:
        return True
    word = re.compile(rf"(?<![^\W_]){SEPARATORS.join(map(re.escape, squeezed))}(?![^\W_])")
    return any(
        squeezed in source.squeezed
        and word.search(source.text) is not None
        and word.search(source.echoed) is None
        for source in sources
    )


def _verdict(case: Case, name: str, span: Span | None) -> Verdict:
    place = in_arguments(case.call, span)
    return Verdict(
        category="T05",
        place=place,
        evidence=f"{place.quote[:100]} stands in no message or result before the call",
        hint=wording.ungrounded_value(case.call.name, name),
        confidence=0.8 if case.failed else 0.4,
        severity="critical" if case.failed else "minor",
    )


def _values(call: ToolCall) -> Iterator[tuple[str, object, Span | None]]:
    """Every plain value in the arguments: the name it stands under, itself, its place."""
    raw = call.raw_arguments
    places = locate(raw)
    for pointer, name, value in _leaves(dict(call.arguments or {})):
        located = places.get(pointer)
        span = inside_quotes(raw, located.value) if located else value_text_span(call, pointer)
        yield name, value, span


def _leaves(root: object) -> Iterator[tuple[str, str, object]]:
    """(pointer, name, value) of every plain value, in order. Without recursion: depth is free."""
    waiting: list[tuple[str, str, object]] = [("", "", root)]
    while waiting:
        pointer, name, value = waiting.pop()
        if isinstance(value, dict):
            below = [(child(pointer, key), str(key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            below = [(child(pointer, i), name, inner) for i, inner in enumerate(value)]
        else:
            yield pointer, name, value
            continue
        waiting.extend(reversed(below))
