"""Read tool calls in the text of a turn, with the place of every part.

A new form is a module with a ``parse`` function (see ``draft.Parser``) and a line in ``FORMS``.
Knows nothing of tokens, of rendering templates, or of whether a tool exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from agentsd.errors import ConfigError
from agentsd.toolcalls import glm, hermes, llama3_json, mistral, qwen3_coder
from agentsd.toolcalls.draft import Parser, finish, texts_outside
from agentsd.types import ToolCall, ToolSpec


@dataclass(frozen=True, slots=True)
class Form:
    """A way to write tool calls."""

    parse: Parser
    marks: tuple[str, ...]
    """A chat template that contains all of these teaches this form."""


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "mistral": Form(mistral.parse, ("[TOOL_CALLS]",)),
        "glm": Form(glm.parse, ("<arg_key>", "<arg_value>")),
        "qwen3_coder": Form(qwen3_coder.parse, ("<function=", "<parameter=")),
        "hermes": Form(hermes.parse, ("<tool_call>",)),
        "llama3_json": Form(llama3_json.parse, ('{"name": ', '"parameters": ')),
    }
)
"""Every form by name, the more specific marks first."""

THINK_MARKS = (("<think>", "</think>"), ("[THINK]", "[/THINK]"))
"""Qwen3, GLM, DeepSeek and Hermes 4 write the first pair, Magistral the second."""


@dataclass(frozen=True, slots=True)
class ParsedTurn:
    """The text of one assistant turn, taken apart."""

    content: str
    """What is neither reasoning nor a call; pieces around calls are joined by a newline."""
    reasoning: str | None
    tool_calls: tuple[ToolCall, ...]


def parse_turn(
    text: str, form: str, turn: int, tools: Sequence[ToolSpec] = (), *, thinking: bool = False
) -> ParsedTurn:
    """Take the text of a turn apart. Never raises for any ``text``.

    A malformed call is a ``ToolCall`` with ``arguments=None`` and a ``problem``; its problem span
    is empty when nothing is wrong but that the call ends too early. ``tools`` gives the types of
    arguments to forms that write them as plain text. ``thinking`` says that the generation prompt
    already opened ``<think>``. Raises ``ConfigError`` for an unknown form.

    >>> text = 'Sure.<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
    >>> turn = parse_turn(text, "hermes", 0)
    >>> turn.content, turn.tool_calls[0].name, turn.tool_calls[0].raw_arguments
    ('Sure.', 'add', '{"a": 1}')
    """
    parser = form_named(form).parse
    reasoning, start = _split_reasoning(text, thinking)
    drafts = parser(text, start, tools)
    return ParsedTurn(
        content="\n".join(texts_outside(text, start, drafts)),
        reasoning=reasoning,
        tool_calls=tuple(
            finish(text, draft, f"call_{turn}_{index}") for index, draft in enumerate(drafts)
        ),
    )


def form_named(name: str) -> Form:
    """The form of that name. Raises ``ConfigError`` with the names there are."""
    if name not in FORMS:
        raise ConfigError(f"unknown tool-call form {name!r}; use one of: {', '.join(FORMS)}")
    return FORMS[name]


def detect_form(chat_template: str) -> str:
    """The tool-call form a chat template teaches. Raises ``ConfigError`` when none is known.

    >>> detect_form("{{ '<tool_call>' }}")
    'hermes'
    """
    for name, form in FORMS.items():
        if all(mark in chat_template for mark in form.marks):
            return name
    raise ConfigError(
        "the chat template shows no tool-call form that agentsd knows; choose one yourself if the "
        f"model was trained on it: {', '.join(FORMS)}"
    )


def _split_reasoning(text: str, thinking: bool) -> tuple[str | None, int]:
    """The leading thought, if any, and where the rest starts. A thought contains no calls."""
    lead = len(text) - len(text.lstrip())
    for opener, closer in THINK_MARKS:
        if not thinking and not text.startswith(opener, lead):
            continue
        inner = 0 if thinking else lead + len(opener)
        end = text.find(closer, inner)
        stop = end if end >= 0 else len(text)
        return text[inner:stop].strip() or None, min(stop + len(closer), len(text))
    return None, 0
