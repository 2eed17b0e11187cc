"""What a rule looks at and what it says: every call of a trajectory as a ``Case``, a ``Verdict``.

Knows nothing of any rule.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from agentsd.failures import is_failure
from agentsd.types import (
    Field,
    Finding,
    Message,
    Severity,
    Span,
    ToolCall,
    ToolSpec,
    Trajectory,
    Turn,
)

CRITIC = "rules"

READING = re.compile(
    r"(get|list|read|search|find|calculate|view|show|describe|fetch|lookup|think)(?![a-z])"
)
"""How the names of tools begin that only read, where the tool itself does not say."""

NAMESPACE = re.compile(r"^.*(?:__|[./:])")


@dataclass(frozen=True, slots=True)
class Case:
    """One call with its surroundings."""

    turn: Turn
    call_index: int
    call: ToolCall
    spec: ToolSpec | None
    """None for a tool that is not offered, and where the offer is not recorded."""
    offered: tuple[str, ...]
    """The names of the offered tools; empty where they are not recorded."""
    result: Message | None
    failed: bool
    key: tuple[str, str]
    """Equal for calls that mean the same, in whatever order their arguments are written."""

    @property
    def is_malformed(self) -> bool:
        """Whether the call cannot be read."""
        return self.call.arguments is None or self.call.problem is not None or not self.call.name

    @property
    def is_unknown(self) -> bool:
        """Whether the call names a tool that is not offered."""
        return bool(self.offered) and self.spec is None

    @property
    def may_write(self) -> bool:
        """Whether the call can have changed something: always, unless there is reason to doubt.

        A tool reads if it says so (``read_only``) or is called like one that reads.
        """
        if self.spec is not None and self.spec.read_only:
            return False
        return READING.match(NAMESPACE.sub("", self.call.name)) is None

    @property
    def error_class(self) -> str | None:
        """Whose fault the result says the failure is."""
        result = self.result.result if self.result else None
        return result.error_class if result else None


@dataclass(frozen=True, slots=True)
class Place:
    """The characters that are wrong; see ``Finding`` for ``field`` and ``char_span``."""

    field: Field
    quote: str
    """Stands inside the marked characters; all of them, except in a ``call``."""
    char_span: Span | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding that does not know yet where in the trajectory it belongs."""

    category: str
    place: Place
    evidence: str
    hint: str = ""
    confidence: float = 1.0
    severity: Severity = "minor"

    def finding(self, trajectory_id: str, turn: int, call_index: int | None) -> Finding:
        """The verdict as a finding on a call, or on a message (``call_index`` None)."""
        return Finding(
            trajectory_id=trajectory_id,
            turn=turn,
            call_index=call_index,
            field=self.place.field,
            quote=self.place.quote,
            char_span=self.place.char_span,
            category=self.category,
            severity=self.severity,
            evidence=self.evidence,
            hint=self.hint,
            confidence=self.confidence,
            critic=CRITIC,
        )


def cases_of(trajectory: Trajectory, error_pattern: re.Pattern[str]) -> tuple[Case, ...]:
    """Every call of the trajectory, in order."""
    specs = {spec.name: spec for spec in trajectory.tools}
    cases: list[Case] = []
    for turn in trajectory.turns():
        for index, call in enumerate(turn.message.tool_calls):
            result = turn.result_of(index)
            failed = result is not None and is_failure(result, error_pattern)
            spec = specs.get(call.name)
            key = (call.name, _canonical(call))
            cases.append(Case(turn, index, call, spec, tuple(specs), result, failed, key))
    return tuple(cases)


def _canonical(call: ToolCall) -> str:
    if call.arguments is None:
        return call.raw_arguments
    try:
        return json.dumps(dict(call.arguments), sort_keys=True, default=str)
    except RecursionError:
        return call.raw_arguments


def whole_call(call: ToolCall) -> Place:
    """All of the call. Its text as written is not known; the quote is the part of it that is."""
    return Place("call", call.raw_arguments or call.name)


def in_arguments(call: ToolCall, span: Span | None) -> Place:
    """Some characters of the raw arguments; all of them where ``span`` is None."""
    if span is None:
        return Place("arguments", call.raw_arguments)
    return Place("arguments", call.raw_arguments[span.start : span.stop], span)


def value_text_span(call: ToolCall, pointer: str) -> Span | None:
    """Where a value stands in raw arguments that are not JSON, if its text stands there once."""
    value: Any = call.arguments
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not text or call.raw_arguments.count(text) != 1:
        return None
    start = call.raw_arguments.index(text)
    return Span(start, start + len(text))
