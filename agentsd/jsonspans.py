r"""Where every value stands in a JSON text, in characters.

Places are named by JSON pointer (RFC 6901). Repeated keys follow Python's ``json``: the last one
counts. Knows nothing of tool calls.

>>> raw = '{"day": "mon", "hours": [9, 10]}'
>>> span = value_span(raw, "day")
>>> raw[span.start : span.stop]
'"mon"'
>>> sorted(locate(raw))
['', '/day', '/hours', '/hours/0', '/hours/1']
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agentsd.types import Span

SPACE = re.compile(r"[ \t\n\r]*")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
SCALAR = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True, slots=True)
class Located:
    """A value in a JSON text; both spans include quotes and brackets."""

    value: Span
    key: Span | None
    """None for the root and for elements of arrays."""


def locate(raw: str) -> Mapping[str, Located]:
    """Every value by its pointer, containers included.

    Empty when ``raw`` is not JSON, or nests too deep to be read.
    """
    places: dict[str, Located] = {}
    try:
        json.loads(raw)
        _scan_value(raw, _skip_space(raw, 0), "", None, places)
    except (ValueError, RecursionError):
        return {}
    return places


def value_span(raw: str, name: str) -> Span | None:
    """Where the value of the root object's ``name`` stands, quotes included."""
    located = locate(raw).get(child("", name))
    return located and located.value


def key_span(raw: str, name: str) -> Span | None:
    """Where the root object's key ``name`` stands, quotes included."""
    located = locate(raw).get(child("", name))
    return located and located.key


def inside_quotes(raw: str, span: Span) -> Span:
    """The characters of a string value without its quotes; other values as they are."""
    is_string = len(span) >= 2 and raw[span.start] == '"'
    return Span(span.start + 1, span.stop - 1) if is_string else span


def child(pointer: str, part: str | int) -> str:
    """The pointer one level further down.

    >>> child("/a", "b/c")
    '/a/b~1c'
    """
    return pointer + "/" + str(part).replace("~", "~0").replace("/", "~1")


def parent(pointer: str) -> str:
    """The pointer one level up; the root is its own parent."""
    return pointer.rpartition("/")[0]


def _scan_value(
    raw: str, at: int, pointer: str, key: Span | None, places: dict[str, Located]
) -> int:
    """Note the value at ``at``, after all it contains. Returns where it stops."""
    if raw[at] == "{":
        stop = _scan_object(raw, at, pointer, places)
    elif raw[at] == "[":
        stop = _scan_array(raw, at, pointer, places)
    else:
        stop = _stop(STRING if raw[at] == '"' else SCALAR, raw, at)
    places[pointer] = Located(Span(at, stop), key)
    return stop


def _scan_object(raw: str, at: int, pointer: str, places: dict[str, Located]) -> int:
    at = _skip_space(raw, at + 1)
    while raw[at] != "}":
        key = Span(at, _stop(STRING, raw, at))
        name = child(pointer, json.loads(raw[key.start : key.stop]))
        _forget(places, name)
        colon = _skip_space(raw, key.stop)
        at = _scan_value(raw, _skip_space(raw, colon + 1), name, key, places)
        at = _next_item(raw, at)
    return at + 1


def _scan_array(raw: str, at: int, pointer: str, places: dict[str, Located]) -> int:
    at, index = _skip_space(raw, at + 1), 0
    while raw[at] != "]":
        at = _scan_value(raw, at, child(pointer, index), None, places)
        at, index = _next_item(raw, at), index + 1
    return at + 1


def _next_item(raw: str, at: int) -> int:
    """Past the space and the comma, if any, behind an item."""
    at = _skip_space(raw, at)
    return _skip_space(raw, at + 1) if raw[at] == "," else at


def _forget(places: dict[str, Located], pointer: str) -> None:
    """Drop what an earlier key of the same name held: it does not count."""
    if pointer in places:
        for known in [p for p in places if p == pointer or p.startswith(pointer + "/")]:
            del places[known]


def _skip_space(raw: str, at: int) -> int:
    return _stop(SPACE, raw, at)


def _stop(pattern: re.Pattern[str], raw: str, at: int) -> int:
    """Where a match at ``at`` stops; ``json`` has read the text before, so there is one."""
    match = pattern.match(raw, at)
    assert match is not None
    return match.end()
