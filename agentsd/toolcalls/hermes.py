"""The Hermes form: a JSON object between ``<tool_call>`` and ``</tool_call>``.

Written by Nous Hermes 2 Pro and later, Qwen2.5, QwQ and Qwen3 (not Qwen3-Coder). Knows nothing of
schemas: JSON carries its own types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agentsd.toolcalls import wrapper
from agentsd.toolcalls.draft import Draft, Problem
from agentsd.toolcalls.jsoncall import read_call
from agentsd.toolcalls.jsonscan import skip_space
from agentsd.types import Span, ToolSpec

ARGUMENT_KEYS = ("arguments",)


def parse(text: str, start: int, tools: Sequence[ToolSpec]) -> list[Draft]:
    """Every block, in order."""
    drafts: list[Draft] = []
    while (opened := text.find(wrapper.OPEN, start)) >= 0:
        drafts.append(_read_block(text, opened))
        start = drafts[-1].call.stop
    return drafts


def _read_block(text: str, opened: int) -> Draft:
    body, depth, entering = wrapper.enter(text, opened)
    draft, end = _read_body(text, body)
    stop, leaving = wrapper.leave(text, end, depth)
    return replace(draft, call=Span(opened, stop), problems=(*entering, *draft.problems, *leaving))


def _read_body(text: str, body: int) -> tuple[Draft, int]:
    """The call, and where the body ends."""
    draft, scan = read_call(text, body, ARGUMENT_KEYS)
    if scan.problem:
        # Invalid JSON says nothing about its end, so the first marker behind it does.
        end = wrapper.end_of_body(text, body)
        return read_call(text[:end], body, ARGUMENT_KEYS)[0], end
    after = skip_space(text, scan.stop)
    end = wrapper.end_of_body(text, after)
    if after == end:
        return draft, end
    extra = Problem(after, "extra text after the JSON object")
    return replace(draft, problems=(*draft.problems, extra)), end
