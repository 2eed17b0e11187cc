"""Rules that need only the call and the offered tools: T01, T02, T03, T04.

Knows nothing of results or of other calls.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentsd.errors import ConfigError
from agentsd.jsonspans import Located, inside_quotes, locate, parent
from agentsd.schemas import SchemaError, first_schema_error
from agentsd.types import Span, ToolCall
from agentsd_critics import wording
from agentsd_critics.cases import Case, Place, Verdict, in_arguments, value_text_span, whole_call

TEXT_KEYWORDS = frozenset({"enum", "const", "pattern", "format", "minLength", "maxLength"})
"""Keywords that let a schema without a type accept strings."""


def malformed_call(case: Case) -> Verdict | None:
    """The one thing that is wrong with the call in itself, or None."""
    if case.is_malformed:
        return _unparsable(case.call)
    if case.is_unknown:
        return _unknown_tool(case)
    if case.spec is None or case.call.arguments is None:
        return None
    try:
        error = first_schema_error(case.spec, case.call.arguments)
    except ConfigError:
        # The schema is no schema: nothing can be said against the call.
        return None
    return error and _schema_verdict(case, error)


def _unknown_tool(case: Case) -> Verdict:
    name = case.call.name
    return Verdict(
        category="T01",
        place=Place("name", name, Span(0, len(name))),
        evidence=f"{name} is not among the {len(case.offered)} offered tools",
        hint=wording.unknown_tool(case.offered),
        severity="critical",
    )


def _unparsable(call: ToolCall) -> Verdict:
    return Verdict(
        category="T02",
        place=_unparsable_place(call),
        evidence=call.problem or "the call has no name, or arguments that cannot be read",
        hint=wording.unparsable_call(),
        severity="critical",
    )


def _unparsable_place(call: ToolCall) -> Place:
    """From the first bad character to the end; the whole call where that is not known.

    Of a recorded call only the arguments are known as text: the quote is what is marked of them.
    """
    if call.spans is None and call.raw_arguments:
        return in_arguments(call, _bad_json(call.raw_arguments))
    problem = call.spans and call.spans.problem
    if call.spans is None or not problem or not len(problem):
        return whole_call(call)
    start = call.spans.call.start
    marked = Span(problem.start - start, problem.stop - start)
    arguments = call.spans.arguments
    if arguments is None or problem.start < arguments.start:
        return Place("call", "", marked)
    return Place("call", call.raw_arguments[problem.start - arguments.start :], marked)


def _bad_json(raw: str) -> Span | None:
    """From where JSON text stops making sense to its end; None where it makes sense, or is cut."""
    try:
        json.loads(raw)
    except json.JSONDecodeError as error:
        return Span(error.pos, len(raw)) if error.pos < len(raw) else None
    except (ValueError, RecursionError):
        return None
    return None


def _schema_verdict(case: Case, error: SchemaError) -> Verdict:
    span = _error_span(case.call, error)
    return Verdict(
        category="T03" if error.kind == "missing" else "T04",
        place=in_arguments(case.call, span),
        evidence=error.message,
        hint=_schema_hint(case, error),
        severity="critical",
    )


def _schema_hint(case: Case, error: SchemaError) -> str:
    tool, spec = case.call.name, case.spec
    if error.kind == "missing":
        return wording.missing_argument(tool, error.argument)
    if error.kind == "value":
        return wording.wrong_value(tool, error.argument or "the arguments", error.schema)
    above = parent(error.pointer)
    if above:
        return wording.wrong_value(tool, above.rpartition("/")[2], {})
    properties = spec.input_schema.get("properties", {}) if spec else {}
    return wording.unexpected_argument(tool, list(properties))


def _error_span(call: ToolCall, error: SchemaError) -> Span | None:
    """Where the mistake stands in the raw arguments; None for all of them."""
    places = locate(call.raw_arguments)
    if not places:
        return value_text_span(call, error.pointer) if error.kind == "value" else None
    if error.kind == "missing":
        return _closing_brace(places.get(parent(error.pointer)))
    located = places.get(error.pointer)
    if located is None or not error.pointer:
        return None
    if error.kind == "unexpected":
        return located.key and inside_quotes(call.raw_arguments, located.key)
    if accepts_text(error.schema):
        return inside_quotes(call.raw_arguments, located.value)
    return located.value


def _closing_brace(located: Located | None) -> Span | None:
    return located and Span(located.value.stop - 1, located.value.stop)


def accepts_text(schema: Mapping[str, Any]) -> bool:
    """Whether a string can satisfy the schema, so that its quotes are no mistake.

    >>> accepts_text({"type": ["string", "null"]}), accepts_text({"type": "integer"})
    (True, False)
    """
    types = schema.get("type")
    if types is None:
        return not TEXT_KEYWORDS.isdisjoint(schema)
    return "string" in ([types] if isinstance(types, str) else types)
