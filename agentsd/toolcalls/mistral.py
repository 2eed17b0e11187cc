"""The two forms of Mistral models behind ``[TOOL_CALLS]``.

    [TOOL_CALLS] [{"name": "f", "arguments": {"x": 1}, "id": "9charsids"}]     up to tokenizer v7
    [TOOL_CALLS]f[ARGS]{"x": 1}[TOOL_CALLS]g[ARGS]{}                           from v11 on

Between name and arguments, v11 may write ``[CALL_ID]`` and an id. Ids that the model writes are
read over. Knows nothing of the roles and order Mistral templates insist on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from agentsd.toolcalls.draft import Draft, Problem
from agentsd.toolcalls.jsoncall import not_an_object, read_call
from agentsd.toolcalls.jsonscan import read_value, skip_space
from agentsd.types import Span, ToolSpec

MARKER = "[TOOL_CALLS]"
ARGS = "[ARGS]"
ARGUMENT_KEYS = ("arguments",)
NAME = re.compile(r"[^\s\[\]{}\"]+")
CALL_ID = re.compile(r"\[CALL_ID\][^\[\]{}]*")


def parse(text: str, start: int, tools: Sequence[ToolSpec]) -> list[Draft]:
    """Every marker with the calls behind it, in order."""
    drafts: list[Draft] = []
    while (opened := text.find(MARKER, start)) >= 0:
        body = skip_space(text, opened + len(MARKER))
        if text.startswith("[", body) and not text.startswith(ARGS, body):
            drafts.extend(_read_array(text, opened, body))
        else:
            drafts.append(_read_named(text, opened))
        start = drafts[-1].call.stop
    return drafts


def _end_of_call(text: str, at: int) -> int:
    """Where a call that cannot be read ends: at the next marker, or with the text."""
    place = text.find(MARKER, at)
    return place if place >= 0 else len(text)


def _read_array(text: str, opened: int, bracket: int) -> list[Draft]:
    """The calls of ``[{...}, {...}]``; the first draft covers the marker, the last the bracket."""
    drafts: list[Draft] = []
    start, at, is_last = opened, bracket + 1, False
    while not is_last:
        draft, is_last = _read_element(text, start, at)
        drafts.append(draft)
        start = draft.call.stop
        at = skip_space(text, start) + 1
    return drafts


def _read_element(text: str, start: int, at: int) -> tuple[Draft, bool]:
    """The call at ``at``, and whether the array ends with it."""
    draft, scan = read_call(text, at, ARGUMENT_KEYS)
    if scan.problem:
        stop = _end_of_call(text, at)
        draft, _ = read_call(text[:stop], at, ARGUMENT_KEYS)
        return replace(draft, call=Span(start, stop)), True
    after = skip_space(text, scan.stop)
    if text.startswith(",", after):
        return replace(draft, call=Span(start, scan.stop)), False
    if text.startswith("]", after):
        return replace(draft, call=Span(start, after + 1)), True
    stop = _end_of_call(text, after)
    problem = Problem(min(after, stop), "expected ',' or ']' after a call")
    return replace(draft, call=Span(start, stop), problems=(*draft.problems, problem)), True


def _read_named(text: str, opened: int) -> Draft:
    """The call ``name[ARGS]{...}`` behind a marker."""
    body = skip_space(text, opened + len(MARKER))
    end = _end_of_call(text, body)
    name = NAME.match(text, body, end)
    if name is None:
        problem = Problem(body, f"expected a name or a JSON array after {MARKER}")
        return Draft(call=Span(opened, end), problems=(problem,))
    known = Draft(call=Span(opened, end), name=name.group(), name_span=Span(*name.span()))
    call_id = CALL_ID.match(text, name.end(), end)
    at = skip_space(text, call_id.end() if call_id else name.end())
    if not text.startswith(ARGS, at):
        return replace(known, problems=(Problem(at, f"expected {ARGS} after the name"),))
    return _read_arguments(text, known, skip_space(text, at + len(ARGS)))


def _read_arguments(text: str, known: Draft, at: int) -> Draft:
    """The arguments at ``at``. Invalid ones reach to the next marker or the end of the text."""
    value = read_value(text, at)
    if isinstance(value, Problem):
        span = Span(at, _end_of_call(text, at))
        problem = Problem(min(value.at, span.stop), value.reason)
        call = Span(known.call.start, span.stop)
        return replace(known, call=call, arguments_span=span, problems=(problem,))
    arguments, stop = value
    problem = not_an_object(arguments, at)
    return replace(
        known,
        call=Span(known.call.start, stop),
        arguments=None if problem else arguments,
        arguments_span=Span(at, stop),
        problems=(problem,) if problem else (),
    )
