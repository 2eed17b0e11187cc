"""When the results of one call, recorded and made anew, count as equal.

Knows nothing of environments, nor of why results differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

from agentsd.errors import ConfigError
from agentsd.failures import is_failure
from agentsd.types import Message, ToolResult

Mode = Literal["strict", "json", "errors"]
"""``strict``: the same text, and an error only where there was one. ``json``: the same, but texts
that are JSON are compared as values, so that spacing and the order of keys do not count.
``errors``: an error only where there was one, whatever the texts."""

VOLATILE: Mapping[str, str] = MappingProxyType(
    {
        "timestamps": r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?"
        r"(?:Z|[+-]\d\d:?\d\d)?|\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b",
        "uuids": r"(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b",
        "addresses": r"\b0x[0-9a-fA-F]{6,16}\b",
        "durations": r"\b\d+(?:\.\d+)? ?(?:ns|us|µs|ms|s|sec|seconds|m|min|minutes)\b",
    }
)
"""Kinds of text that differ from run to run, by name, as regular expressions."""

PLACEHOLDER = "\N{HORIZONTAL ELLIPSIS}"

EXCERPT = 160
"""Characters of a text that a report quotes."""


@dataclass(frozen=True, slots=True)
class Matching:
    """A mode, and what is ignored in it; made by ``matching``."""

    mode: Mode = "strict"
    ignored: tuple[re.Pattern[str], ...] = ()

    def equal(self, recorded: Message, actual: ToolResult) -> bool:
        """Whether the tool message and the new result say the same."""
        anew = Message("tool", actual.content, result=actual)
        if self.mode == "errors":
            return is_failure(recorded) == is_failure(anew)
        # A message without a result comes from a format that does not record errors.
        if recorded.result is not None and recorded.result.is_error != actual.is_error:
            return False
        expected, found = self.visible(recorded.content), self.visible(actual.content)
        return expected == found or (self.mode == "json" and _same_value(expected, found))

    def visible(self, text: str) -> str:
        """The text with a placeholder for everything that is ignored."""
        for pattern in self.ignored:
            text = pattern.sub(PLACEHOLDER, text)
        return text


def matching(mode: str, kinds: Sequence[str] = (), patterns: Sequence[str] = ()) -> Matching:
    """What a command line says: a mode, names of ``VOLATILE``, and further regular expressions.

    Raises ``ConfigError``.

    >>> clock = matching("strict", ["timestamps"])
    >>> clock.equal(Message("tool", "it is 10:31:07"), ToolResult("", "it is 10:45:59"))
    True
    """
    if mode not in get_args(Mode):
        raise ConfigError(f"no mode {mode!r}; use one of: {', '.join(get_args(Mode))}")
    if unknown := [kind for kind in kinds if kind not in VOLATILE]:
        raise ConfigError(f"cannot ignore {unknown[0]!r}; use any of: {', '.join(VOLATILE)}")
    sources = [*(VOLATILE[kind] for kind in kinds), *patterns]
    checked: Any = mode
    return Matching(checked, tuple(_compiled(source) for source in sources))


def excerpts(expected: str, actual: str) -> tuple[str, str]:
    """Both texts cut to the place where they first differ.

    >>> excerpts("a" * 300 + "b", "a" * 300 + "c")[1] == "..." + "a" * 40 + "c"
    True
    """
    pairs = enumerate(zip(expected, actual, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(actual)))
    start = max(0, at - EXCERPT // 4)
    return _cut(expected, start), _cut(actual, start)


def _cut(text: str, start: int) -> str:
    kept = text[start : start + EXCERPT]
    return f"{'...' if start else ''}{kept}{'...' if start + EXCERPT < len(text) else ''}"


def _compiled(source: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(source)
    except re.error as error:
        raise ConfigError(f"ignored pattern {source!r}: {error}") from error
    if pattern.fullmatch(""):
        raise ConfigError(f"ignored pattern {source!r} matches nothing at all, so everywhere")
    return pattern


def _same_value(expected: str, found: str) -> bool:
    try:
        return _canonical(expected) == _canonical(found)
    except (ValueError, RecursionError):
        return False


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
