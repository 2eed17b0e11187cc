"""The XML form of Qwen3-Coder and Qwen3.5, which Nemotron 3 writes too.

    <tool_call>
    <function=name>
    <parameter=key>
    value
    </parameter>
    </function>
    </tool_call>

Values are plain text, typed by the tool's schema. The models at times forget the opening
``<tool_call>``; such a call is found and is malformed. Knows nothing of other XML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from agentsd.toolcalls import wrapper
from agentsd.toolcalls.draft import Draft, Problem
from agentsd.toolcalls.tagged import Tags, read_block, read_body
from agentsd.types import Span, ToolSpec

FUNCTION = "<function="


def _without_line_breaks(value: str) -> str:
    """The template puts one line break on each side of a value."""
    return value.removeprefix("\n").removesuffix("\n")


TAGS = Tags(
    name=re.compile(r"<function=([^<>\n]+)>"),
    argument=re.compile(r"<parameter=([^<>\n]+)>"),
    argument_end="</parameter>",
    end="</function>",
    trim=_without_line_breaks,
    shape="<function=name>, then <parameter=key>value</parameter>, then </function>",
)


def parse(text: str, start: int, tools: Sequence[ToolSpec]) -> list[Draft]:
    """Every block, in order, bare ``<function=...>`` included."""
    drafts: list[Draft] = []
    while True:
        opened, bare = text.find(wrapper.OPEN, start), text.find(FUNCTION, start)
        if opened < 0 and bare < 0:
            return drafts
        if opened >= 0 and (bare < 0 or opened < bare):
            drafts.append(read_block(text, opened, TAGS, tools))
        else:
            drafts.append(_read_bare(text, bare, tools))
        start = drafts[-1].call.stop


def _read_bare(text: str, opened: int, tools: Sequence[ToolSpec]) -> Draft:
    """A call without its opening marker, up to the next call or closing marker."""
    next_bare = text.find(FUNCTION, opened + len(FUNCTION))
    end = wrapper.end_of_body(text, opened)
    if 0 <= next_bare < end:
        end = next_bare
    stop, _ = wrapper.leave(text, end, 1)
    draft = read_body(text, Span(opened, end), TAGS, tools)
    unopened = Problem(opened, f"no {wrapper.OPEN} before {FUNCTION}")
    return replace(draft, call=Span(opened, stop), problems=(unopened, *draft.problems))
