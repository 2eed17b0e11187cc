"""Read calls whose arguments are plain text between tags, inside the ``<tool_call>`` wrapper.

Knows nothing of one model's tags: ``qwen3_coder`` and ``glm`` say what theirs are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentsd.toolcalls import wrapper
from agentsd.toolcalls.draft import Draft, Problem
from agentsd.toolcalls.jsonscan import skip_space
from agentsd.toolcalls.typed import declared_types, typed_value
from agentsd.types import Span, ToolSpec


@dataclass(frozen=True, slots=True)
class Tags:
    """How a family writes a call. White space between tags is free."""

    name: re.Pattern[str]
    """What stands before the arguments; group 1 is the tool's name."""
    argument: re.Pattern[str]
    """What opens an argument; group 1 is its key."""
    argument_end: str
    end: str
    """What stands after the arguments."""
    trim: Callable[[str], str]
    """Removes what the template puts around a value."""
    shape: str
    """What was expected, for messages."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments that can be read, the characters they take, and what is wrong behind them."""

    values: dict[str, str]
    span: Span
    problems: tuple[Problem, ...]


def read_block(text: str, opened: int, tags: Tags, tools: Sequence[ToolSpec]) -> Draft:
    """The call whose wrapper opens at ``opened``."""
    body, depth, entering = wrapper.enter(text, opened)
    end = wrapper.end_of_body(text, body)
    stop, leaving = wrapper.leave(text, end, depth)
    draft = read_body(text, Span(body, end), tags, tools)
    return replace(draft, call=Span(opened, stop), problems=(*entering, *draft.problems, *leaving))


def read_body(text: str, body: Span, tags: Tags, tools: Sequence[ToolSpec]) -> Draft:
    """The call between the markers, as a draft that covers only the body."""
    start = skip_space(text, body.start)
    head = tags.name.match(text, start, body.stop)
    if head is None:
        return Draft(call=body, problems=(Problem(start, f"expected {tags.shape}"),))
    name = head.group(1)
    read = _read_arguments(text, Span(head.end(), body.stop), tags)
    return Draft(
        call=body,
        name=name,
        name_span=Span(*head.span(1)),
        arguments=_typed(read.values, name, tools),
        arguments_span=read.span,
        problems=read.problems,
    )


def _typed(values: dict[str, str], tool: str, tools: Sequence[ToolSpec]) -> dict[str, Any]:
    return {key: typed_value(raw, declared_types(tools, tool, key)) for key, raw in values.items()}


def _read_arguments(text: str, rest: Span, tags: Tags) -> Arguments:
    """One argument after the other, then the end of the body."""
    values: dict[str, str] = {}
    first = at = skip_space(text, rest.start)
    stop = first
    while opened := tags.argument.match(text, at, rest.stop):
        close = text.find(tags.argument_end, opened.end(), rest.stop)
        nested = tags.argument.search(text, opened.end(), close if close >= 0 else rest.stop)
        if close < 0 or nested:
            broken = nested.start() if nested else rest.stop
            problem = Problem(broken, f"no {tags.argument_end} for {opened.group(1)!r}")
            return Arguments(values, Span(first, rest.stop), (problem,))
        values[opened.group(1)] = tags.trim(text[opened.end() : close])
        stop = close + len(tags.argument_end)
        at = skip_space(text, stop)
    return Arguments(values, Span(first, stop), _end_problems(text, Span(at, rest.stop), tags))


def _end_problems(text: str, rest: Span, tags: Tags) -> tuple[Problem, ...]:
    """What is wrong with the text behind the last argument."""
    ends = text.startswith(tags.end, rest.start) and rest.start + len(tags.end) <= rest.stop
    at = skip_space(text, rest.start + len(tags.end)) if ends else rest.start
    if ends and at == rest.stop:
        return ()
    return (Problem(at, f"expected {tags.shape}"),)
