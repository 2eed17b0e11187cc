"""The form of Llama 3.1 and later: the whole text is a JSON object with a name and parameters.

    <|python_tag|>{"name": "f", "parameters": {"x": 1}}; {"name": "g", "parameters": {}}

The tag is optional. Several calls are separated by semicolons. Without the tag, an object is a
call only if it names a tool and has parameters, so that an answer in JSON stays an answer. Knows
nothing of the built-in tools, which are written as Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agentsd.toolcalls.draft import Draft, Problem
from agentsd.toolcalls.jsoncall import read_call
from agentsd.toolcalls.jsonscan import ScannedObject, scan_object, skip_space
from agentsd.types import Span, ToolSpec

TAG = "<|python_tag|>"
SEPARATOR = ";"
ARGUMENT_KEYS = ("parameters", "arguments")


def parse(text: str, start: int, tools: Sequence[ToolSpec]) -> list[Draft]:
    """The calls, when the text is nothing but calls."""
    opened = skip_space(text, start)
    is_tagged = text.startswith(TAG, opened)
    body = opened + len(TAG) * is_tagged
    if not is_tagged and not _is_attempt(text, body):
        return []
    drafts: list[Draft] = []
    while not drafts or opened < len(text):
        drafts.append(_read_one(text, opened, body))
        body = drafts[-1].call.stop
        opened = skip_space(text, body)
        body = opened + len(SEPARATOR) * text.startswith(SEPARATOR, opened)
    return drafts


def _is_attempt(text: str, body: int) -> bool:
    """Whether an untagged text starts like a call."""
    scan = scan_object(text, body)
    return scan.has("name") and (scan.has(*ARGUMENT_KEYS) or scan.problem is not None)


def _read_one(text: str, opened: int, body: int) -> Draft:
    """The call at ``body``; when it is no JSON or more follows, it takes the rest of the text."""
    draft, scan = read_call(text, body, ARGUMENT_KEYS)
    stop, problems = _end(text, scan)
    return replace(draft, call=Span(opened, stop), problems=(*draft.problems, *problems))


def _end(text: str, scan: ScannedObject) -> tuple[int, tuple[Problem, ...]]:
    if scan.problem:
        return len(text), ()
    after = skip_space(text, scan.stop)
    if after == len(text) or text.startswith(SEPARATOR, after):
        return scan.stop, ()
    return len(text), (Problem(after, "extra text after the JSON object"),)
