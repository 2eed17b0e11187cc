"""How the ``rules`` critic words its hints: one or two sentences that state the rule or the place.

A hint never contains the right value, never repeats the wrong call, and never speaks of hindsight
("you failed"). Knows nothing of trajectories or spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def unknown_tool(names: Sequence[str]) -> str:
    """T01.

    >>> unknown_tool(["read_note", "calculate"])
    'Available tools: calculate, read_note.'
    """
    return f"Available tools: {', '.join(sorted(names))}."


def unparsable_call() -> str:
    """T02."""
    return (
        "A tool call is one JSON object with the keys name and arguments, "
        "inside the call markers, with nothing after it."
    )


def missing_argument(tool: str, argument: str) -> str:
    """T03.

    >>> missing_argument("add_event", "title")
    'add_event requires title; its value comes from the user or a tool result.'
    """
    return f"{tool} requires {argument}; its value comes from the user or a tool result."


def unexpected_argument(tool: str, allowed: Sequence[str]) -> str:
    """T04, for an argument that the schema does not have.

    >>> unexpected_argument("list_notes", [])
    'list_notes takes no arguments.'
    """
    if not allowed:
        return f"{tool} takes no arguments."
    return f"{tool} takes only these arguments: {', '.join(allowed)}."


def wrong_value(tool: str, argument: str, schema: Mapping[str, Any]) -> str:
    """T04, for a value that its schema refuses: the schema's own words.

    >>> wrong_value("add_event", "day", {"type": "string", "enum": ["mon", "tue"]})
    'In add_event, day must be one of: mon, tue.'
    >>> wrong_value("add_event", "hour", {"type": "integer", "minimum": 8})
    'In add_event, hour must be of type integer, minimum 8.'
    """
    if "enum" in schema:
        return f"In {tool}, {argument} must be one of: {', '.join(map(str, schema['enum']))}."
    words = [f"of type {schema['type']}"] if "type" in schema else []
    bounds = ("minimum", "maximum", "minLength", "maxLength", "pattern", "format")
    words += [f"{bound} {schema[bound]}" for bound in bounds if bound in schema]
    return f"In {tool}, {argument} must be {', '.join(words) or 'as its schema says'}."


def ungrounded_value(tool: str, argument: str) -> str:
    """T05.

    >>> ungrounded_value("send_message", "to")
    'In send_message, copy to from a tool result or the user; look it up first.'
    """
    return f"In {tool}, copy {argument} from a tool result or the user; look it up first."


def refused_call(tool: str) -> str:
    """T08, when the tool itself said no."""
    return f"Check what {tool} needs, and that it holds now, before calling it."


def repeated_call() -> str:
    """T10."""
    return "Every call so far has its result above; take another step or answer."


def ignored_error() -> str:
    """T11."""
    return "The last tool result is an error; read it and correct the cause before going on."
