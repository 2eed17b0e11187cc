"""The mistakes that the embedded policy is taught to make, and the hints it is taught to obey.

Every flaw is one that tool-using models really make: a name remembered from another product, a day
copied the way the user wrote it, a forgotten argument, an id made up instead of copied. Knows
nothing of tokens or training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentsd.types import ToolSpec
from agentsd_critics import wording
from agentsd_envs.desk.expert import Step
from agentsd_envs.desk.world import DAYS

OTHER_NAMES = {
    "list_notes": "get_notes",
    "read_note": "get_note",
    "write_note": "save_note",
    "find_contact": "search_contacts",
    "send_message": "send_email",
    "list_events": "get_events",
    "add_event": "create_event",
    "add": "sum_numbers",
}
"""What each tool is called elsewhere: names that do not exist here."""

MADE_UP_CONTACT = "c-100"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One kind of mistake in one kind of step."""

    category: str
    rate: float
    """Probability in an unhinted step to which it applies."""
    applies: Callable[[Step], bool]
    spoil: Callable[[Step], Step]
    hint: Callable[[Sequence[ToolSpec], str], str]
    """The ``rules`` critic's wording for (tools, tool name)."""


def _rename(step: Step) -> Step:
    return Step(OTHER_NAMES[step.tool], step.arguments)


def _spell_day_out(step: Step) -> Step:
    spelled = {short: long for long, short in DAYS.items()}
    return Step(step.tool, {**step.arguments, "day": spelled[step.arguments["day"]]})


def _forget_title(step: Step) -> Step:
    return Step(step.tool, {k: v for k, v in step.arguments.items() if k != "title"})


def _make_contact_up(step: Step) -> Step:
    return Step(step.tool, {**step.arguments, "to": MADE_UP_CONTACT})


def _day_schema(tools: Sequence[ToolSpec], name: str) -> Mapping[str, Any]:
    spec = next(tool for tool in tools if tool.name == name)
    return spec.input_schema["properties"]["day"]


FLAWS = (
    Flaw(
        "T01",
        0.16,
        applies=lambda step: True,
        spoil=_rename,
        hint=lambda tools, name: wording.unknown_tool([tool.name for tool in tools]),
    ),
    Flaw(
        "T03",
        0.25,
        applies=lambda step: "title" in step.arguments,
        spoil=_forget_title,
        hint=lambda tools, name: wording.missing_argument(name, "title"),
    ),
    Flaw(
        "T04",
        0.35,
        applies=lambda step: "day" in step.arguments,
        spoil=_spell_day_out,
        hint=lambda tools, name: wording.wrong_value(name, "day", _day_schema(tools, name)),
    ),
    Flaw(
        "T05",
        0.35,
        applies=lambda step: step.tool == "send_message",
        spoil=_make_contact_up,
        hint=lambda tools, name: wording.ungrounded_value(name, "to"),
    ),
)


def arguments_json(step: Step) -> str:
    """The arguments as the policy writes them."""
    return json.dumps(dict(step.arguments))
