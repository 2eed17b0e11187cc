"""Render messages with the model's own chat template and tokenise the result.

Knows nothing of turns, stop tokens or what has been recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2s
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from agentsd.errors import ConfigError
from agentsd.textmap import backend_of
from agentsd.types import Message, ToolCall, ToolSpec

TemplateMessage = dict[str, Any]
"""A message in the shape chat templates read."""


@dataclass(frozen=True, slots=True)
class Template:
    """A tokenizer seen as a renderer: messages to text, text to ids, nothing added."""

    tokenizer: Any
    options: Mapping[str, Any]
    """Extra variables of the template, such as ``enable_thinking``."""

    @property
    def path(self) -> str:
        """Where the tokenizer came from, for messages."""
        return str(getattr(self.tokenizer, "name_or_path", "")) or "(in memory)"

    @property
    def backend(self) -> Tokenizer:
        """The fast tokenizer. Raises ``ConfigError`` when there is none."""
        return backend_of(self.tokenizer)

    def source(self) -> str:
        """The template itself, in its variant for tools.

        Raises ``ConfigError`` for a tokenizer without a template or a fast backend.
        """
        backend_of(self.tokenizer)
        try:
            return self.tokenizer.get_chat_template(tools=[])
        except ValueError as error:
            raise ConfigError(
                f"tokenizer {self.path}: no chat template; use an instruction-tuned model, or save "
                "a chat_template.jinja beside the tokenizer"
            ) from error

    def render(
        self,
        messages: Sequence[TemplateMessage],
        tools: Sequence[ToolSpec] = (),
        *,
        add_generation_prompt: bool = True,
    ) -> str:
        """The text of the conversation. Raises ``ConfigError`` when the template refuses it."""
        try:
            return self.tokenizer.apply_chat_template(
                list(messages),
                tools=[_tool(spec) for spec in tools] or None,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                **self.options,
            )
        except (TemplateError, TypeError) as error:
            roles = ", ".join(message["role"] for message in messages)
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"tokenizer {self.path}: its chat template refuses the roles ({roles}): {reason}"
            ) from error

    def encode(self, text: str) -> tuple[int, ...]:
        """The ids of rendered text; the template has already written BOS where it belongs."""
        backend = self.backend
        if backend.truncation is None and backend.padding is None:
            return tuple(backend.encode(text, add_special_tokens=False).ids)
        # Transformers switches both off for the call, in several times the time.
        return tuple(self.tokenizer.encode(text, add_special_tokens=False, verbose=False))


def _tool(spec: ToolSpec) -> dict[str, Any]:
    function = {
        "name": spec.name,
        "description": spec.description,
        "parameters": dict(spec.input_schema),
    }
    return {"type": "function", "function": function}


def template_messages(
    messages: Sequence[Message], calls: Sequence[ToolCall] = (), *, short_ids: bool = False
) -> list[TemplateMessage]:
    """Messages in template shape; leading tool messages answer ``calls`` in order.

    ``short_ids`` replaces call ids by nine letters and digits, which Mistral templates demand.
    """
    rendered: list[TemplateMessage] = []
    waiting = list(calls)
    for message in messages:
        if message.role == "tool":
            call = waiting.pop(0) if waiting else None
            rendered.append(_tool_message(message, call, short_ids))
            continue
        waiting = list(message.tool_calls)
        rendered.append(_spoken_message(message, short_ids))
    return rendered


def _spoken_message(message: Message, short_ids: bool) -> TemplateMessage:
    """Keys that do not apply are left out: templates ask whether they are there."""
    rendered: TemplateMessage = {"role": message.role, "content": message.content}
    if message.reasoning is not None:
        rendered["reasoning_content"] = message.reasoning
    if message.tool_calls:
        rendered["tool_calls"] = [_call(call, short_ids) for call in message.tool_calls]
    return rendered


def _tool_message(message: Message, call: ToolCall | None, short_ids: bool) -> TemplateMessage:
    call_id = message.tool_call_id or (call.id if call else "")
    rendered: TemplateMessage = {"role": "tool", "content": message.content}
    rendered["tool_call_id"] = _short(call_id) if short_ids else call_id
    if call and call.name:
        rendered["name"] = call.name
    return rendered


def _call(call: ToolCall, short_ids: bool) -> dict[str, Any]:
    """Templates print arguments with ``tojson``, so they want the object, not its text."""
    arguments = call.raw_arguments if call.arguments is None else dict(call.arguments)
    return {
        "id": _short(call.id) if short_ids else call.id,
        "type": "function",
        "function": {"name": call.name or "unknown", "arguments": arguments},
    }


def _short(call_id: str) -> str:
    return blake2s(call_id.encode()).hexdigest()[:9]
