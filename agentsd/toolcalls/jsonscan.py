"""Read JSON in the middle of a text and remember where each member's value stands.

Knows nothing of calls. Values are decoded by the standard library; repeated keys follow it too:
the last one counts.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from agentsd.toolcalls.draft import Problem
from agentsd.types import Span

SPACE = re.compile(r"[ \t\n\r]*")


def _refuse(constant: str) -> NoReturn:
    """Python reads NaN and Infinity, JSON does not know them."""
    raise ValueError(f"{constant} is not JSON")


def _finite(number: str) -> float:
    """Python reads 1e999 as infinity, which no JSON can carry on."""
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is too large")
    return value


DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


@dataclass(frozen=True, slots=True)
class Member:
    """A key and its value; ``span`` covers the value as written."""

    key: str
    value: Any
    span: Span


@dataclass(frozen=True, slots=True)
class ScannedObject:
    """An object, or as much of it as can be read."""

    members: tuple[Member, ...]
    stop: int
    """After the closing brace, or where reading failed."""
    problem: Problem | None = None
    unread: Member | None = None
    """The key whose value cannot be read, and the characters from that value on."""

    def last(self, *keys: str) -> Member | None:
        """The member that counts for any of ``keys``."""
        return next((member for member in reversed(self.members) if member.key in keys), None)

    def has(self, *keys: str) -> bool:
        """Whether any of ``keys`` is written, even if its value cannot be read."""
        return self.last(*keys) is not None or (self.unread is not None and self.unread.key in keys)


def skip_space(text: str, at: int) -> int:
    """The first position from ``at`` on that is not JSON white space."""
    match = SPACE.match(text, at)
    return match.end() if match else at


def read_value(text: str, at: int) -> tuple[Any, int] | Problem:
    """The value that starts at ``at`` and where it stops, or what is wrong with it."""
    try:
        value, stop = DECODER.raw_decode(text, at)
        if "\\u" in text[at:stop]:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return Problem(error.pos, f"invalid JSON: {error.msg[:1].lower()}{error.msg[1:]}")
    except RecursionError:
        return Problem(at, "invalid JSON: nested too deeply")
    except UnicodeEncodeError:
        return Problem(at, "invalid JSON: half of a surrogate pair")
    except ValueError:
        return Problem(at, "invalid JSON: a number that is infinite, not a number or too long")
    return value, stop


def scan_object(text: str, start: int) -> ScannedObject:
    """Read the object that starts at ``start``, white space aside."""
    members: list[Member] = []
    at = skip_space(text, start)
    if text[at : at + 1] != "{":
        return ScannedObject((), at, Problem(at, "expected a JSON object"))
    at = skip_space(text, at + 1)
    if text[at : at + 1] == "}":
        return ScannedObject((), at + 1)
    while True:
        member, problem = _read_member(text, at)
        if problem or member is None:
            return ScannedObject(tuple(members), at, problem, unread=member)
        members.append(member)
        at = skip_space(text, member.span.stop)
        if text[at : at + 1] == "}":
            return ScannedObject(tuple(members), at + 1)
        if text[at : at + 1] != ",":
            return ScannedObject(tuple(members), at, _expected(text, at, "',' or '}'"))
        at = skip_space(text, at + 1)


def _read_member(text: str, at: int) -> tuple[Member | None, Problem | None]:
    """One ``"key": value``. With a problem, the member, if any, holds its unread rest."""
    if text[at : at + 1] != '"':
        return None, _expected(text, at, "a key in double quotes")
    key = read_value(text, at)
    if isinstance(key, Problem):
        return None, key
    colon = skip_space(text, key[1])
    if text[colon : colon + 1] != ":":
        return None, _expected(text, colon, "':'")
    start = skip_space(text, colon + 1)
    value = read_value(text, start)
    if isinstance(value, Problem):
        return Member(key[0], None, Span(start, len(text))), value
    return Member(key[0], value[0], Span(start, value[1])), None


def _expected(text: str, at: int, what: str) -> Problem:
    got = repr(text[at]) if at < len(text) else "the end"
    return Problem(at, f"invalid JSON: expected {what}, got {got}")
