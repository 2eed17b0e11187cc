"""The form of GLM-4.5 and later: keys and values in alternation.

    <tool_call>name
    <arg_key>key</arg_key>
    <arg_value>value</arg_value>
    </tool_call>

Strings are written as they are, everything else as JSON; the tool's schema tells which. Knows
nothing of GLM's other markers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentsd.toolcalls import wrapper
from agentsd.toolcalls.draft import Draft
from agentsd.toolcalls.tagged import Tags, read_block
from agentsd.types import ToolSpec

TAGS = Tags(
    name=re.compile(r"([^<>\s]+)"),
    argument=re.compile(r"<arg_key>([^<>\n]*)</arg_key>\s*<arg_value>"),
    argument_end="</arg_value>",
    end="",
    trim=str,
    shape="a name, then <arg_key>key</arg_key><arg_value>value</arg_value>",
)


def parse(text: str, start: int, tools: Sequence[ToolSpec]) -> list[Draft]:
    """Every block, in order."""
    drafts: list[Draft] = []
    while (opened := text.find(wrapper.OPEN, start)) >= 0:
        drafts.append(read_block(text, opened, TAGS, tools))
        start = drafts[-1].call.stop
    return drafts
