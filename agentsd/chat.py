"""Turn messages into token ids, append-only: a recorded turn is never rendered again.

What follows a turn is rendered behind a dummy turn, and only the part behind it is kept. Knows
nothing of engines, episodes or token logs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentsd.errors import ConfigError
from agentsd.suffixes import answered_calls, dummy_reply, dummy_turn, unused_marker
from agentsd.template import Template, TemplateMessage, template_messages
from agentsd.textmap import TextMap
from agentsd.toolcalls import ParsedTurn, detect_form, form_named, parse_turn
from agentsd.types import Message, Role, ToolCall, ToolSpec

HINT_ROLES: tuple[Role, ...] = ("user", "system", "tool")
"""In the order in which they are worth trying."""

NINE_LETTER_IDS = frozenset({"mistral"})
"""The forms whose templates demand call ids of nine letters and digits."""


Shape = tuple[tuple[str, ...], tuple[Role, ...], int]
"""What follows a turn, without its words: tool names, roles, number of calls answered."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A tokenizer with its chat template, seen as append-only operations on token ids.

    Made by ``from_tokenizer``.
    """

    template: Template
    tool_form: str
    stop_ids: tuple[int, ...]
    """Tokens that end an assistant turn, for ``SamplingParams.stop_ids``."""
    header_text: str
    header_ids: tuple[int, ...]
    _tools_matter: dict[Shape, bool] = field(
        default_factory=dict["Shape", bool], compare=False, repr=False
    )
    """Whether the tools change what the template writes behind a turn; found out once a shape."""

    @classmethod
    def from_tokenizer(
        cls,
        tokenizer: Any,
        tool_form: str | None = None,
        *,
        stop_ids: Sequence[int] = (),
        template_options: Mapping[str, Any] | None = None,
    ) -> Chat:
        """Read the template: its tool-call form unless given, and what ends a turn.

        ``stop_ids``, such as the ``eos_token_id`` of a generation config, are added to the
        tokenizer's own and to the token the template writes behind a turn. Raises ``ConfigError``
        for a tokenizer without a fast backend, a chat template, a known tool-call form or a stop
        token.
        """
        template = Template(tokenizer, dict(template_options or {}))
        form = _form_of(template, tool_form)
        header_text, header_ids = _header_of(template)
        return cls(template, form, _stop_ids_of(template, stop_ids), header_text, header_ids)

    def open(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> tuple[int, ...]:
        """The first prompt, without the generation prompt. Raises ``ConfigError``."""
        short_ids = self.tool_form in NINE_LETTER_IDS
        text = self._prompt_text(template_messages(messages, short_ids=short_ids), tools)
        if tools and tools[0].name not in text:
            raise ConfigError(
                f"tokenizer {self.template.path}: its chat template does not show the tools to the "
                "model; use a model trained to call tools"
            )
        return self.template.encode(text)

    def header(self) -> tuple[int, ...]:
        """The generation prompt: what stands between a prompt and the first sampled token."""
        return self.header_ids

    def ends_with_stop(self, ids: Sequence[int]) -> bool:
        """Whether a sampled turn ended by itself, rather than for want of tokens."""
        return bool(ids) and ids[-1] in self.stop_ids

    def suffix(
        self,
        previous_ends_with_stop: bool,
        new_messages: Sequence[Message],
        calls_of_last_turn: Sequence[ToolCall],
        tools: Sequence[ToolSpec],
    ) -> tuple[int, ...]:
        """What follows a sampled turn: the rest of its ending, then ``new_messages``.

        Leading tool messages answer ``calls_of_last_turn`` in order. A turn cut by length is ended
        first. Raises ``TokenError`` for an assistant message or an answer to no call,
        ``ConfigError`` when the template refuses.
        """
        calls = answered_calls(new_messages, calls_of_last_turn)
        shown = self._tools_behind_turn(new_messages, calls, tools)
        text, stop_id = self._text_behind_turn(new_messages, calls, shown)
        ids = self.template.encode(text)
        if ids[:1] != (stop_id,):
            raise ConfigError(
                f"tokenizer {self.template.path}: token {stop_id} ends a turn but its text "
                f"{text[:20]!r} gives other ids; check the tokenizer's added tokens"
            )
        return ids[1:] if previous_ends_with_stop else ids

    def hint(self, text: str, role: Role, after: Role) -> tuple[int, ...]:
        """A hint message to insert before a turn's generation prompt, behind an ``after`` message.

        The ids are cut from a full rendering with the hint, so inserting them gives that rendering.
        Raises ``ConfigError`` when the template cannot take the hint exactly there.
        """
        try:
            return self._hint_ids(text, role, after)
        except ConfigError as error:
            others = [r for r in HINT_ROLES if r != role and self._takes_hint(text, r, after)]
            advice = f"try hint role {' or '.join(others)}" if others else "no other role fits"
            raise ConfigError(
                f"cannot place a {role} hint after {after}: {error}; {advice}"
            ) from error

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of a sampled turn without its final stop token."""
        backend = self.template.backend
        return backend.decode(list(self._without_stop(ids)), skip_special_tokens=False)

    def text_map(self, ids: Sequence[int]) -> TextMap:
        """``text_of(ids)``, mapped to its tokens. Raises ``TokenError``."""
        return TextMap.from_ids(self.template.tokenizer, self._without_stop(ids))

    def read(self, ids: Sequence[int], turn: int, tools: Sequence[ToolSpec] = ()) -> ParsedTurn:
        """The content, reasoning and calls of a sampled turn; spans count in ``text_of(ids)``."""
        thinking = self.header_text.rstrip().endswith("<think>")
        return parse_turn(self.text_of(ids), self.tool_form, turn, tools, thinking=thinking)

    def _without_stop(self, ids: Sequence[int]) -> Sequence[int]:
        return ids[:-1] if self.ends_with_stop(ids) else ids

    def _prompt_text(
        self, messages: Sequence[TemplateMessage], tools: Sequence[ToolSpec] = ()
    ) -> str:
        """The conversation without the generation prompt, as the template writes it before one."""
        text = self.template.render(messages, tools)
        if not text.endswith(self.header_text):
            raise ConfigError(
                f"tokenizer {self.template.path}: its generation prompt is not "
                f"{self.header_text!r} everywhere; after {messages[-1]['role']} it differs"
            )
        return text.removesuffix(self.header_text)

    def _tools_behind_turn(
        self, new_messages: Sequence[Message], calls: Sequence[ToolCall], tools: Sequence[ToolSpec]
    ) -> Sequence[ToolSpec]:
        """The tools, or none where the template writes the same behind a turn without them.

        They stand at the front of nearly every template, and rendering them is most of the work.
        """
        roles: tuple[Role, ...] = tuple(message.role for message in new_messages)
        shape: Shape = (tuple(spec.name for spec in tools), roles, len(calls))
        if shape not in self._tools_matter:
            self._tools_matter[shape] = self._tools_change_text(new_messages, calls, tools)
        return tools if self._tools_matter[shape] else ()

    def _tools_change_text(
        self, new_messages: Sequence[Message], calls: Sequence[ToolCall], tools: Sequence[ToolSpec]
    ) -> bool:
        if isinstance(self.template.tokenizer.chat_template, dict):
            return True  # such a tokenizer has another template for conversations without tools
        try:
            without = self._text_behind_turn(new_messages, calls)
        except ConfigError:
            return True
        return without != self._text_behind_turn(new_messages, calls, tools)

    def _text_behind_turn(
        self,
        new_messages: Sequence[Message],
        calls: Sequence[ToolCall],
        tools: Sequence[ToolSpec] = (),
    ) -> tuple[str, int]:
        """What follows any turn: the text from its stop token on, and that token."""
        marker = unused_marker(new_messages)
        try:
            text = self._render_behind(dummy_turn(marker, calls), new_messages, calls, tools)
        except ConfigError:
            if len(calls) < 2:
                raise
            # Llama templates refuse several calls in a turn, though the model may write them.
            dummy = dummy_turn(marker, calls[-1:])
            text = self._render_behind(dummy, new_messages, calls, tools)
        _, found, rest = text.rpartition(marker)
        if not found:
            raise ConfigError(f"tokenizer {self.template.path}: its chat template drops a turn")
        at, stop_id = self._first_stop(rest)
        return rest[at:], stop_id

    def _render_behind(
        self,
        turn: Sequence[Message],
        new_messages: Sequence[Message],
        calls: Sequence[ToolCall],
        tools: Sequence[ToolSpec],
    ) -> str:
        """The turn, then ``new_messages``, of which leading tool messages answer ``calls``."""
        short_ids = self.tool_form in NINE_LETTER_IDS
        shown = template_messages(turn, short_ids=short_ids)
        new = template_messages(new_messages, calls, short_ids=short_ids)
        return self._prompt_text([*shown, *new], tools)

    def _first_stop(self, text: str) -> tuple[int, int]:
        """Where the first stop token stands, and which it is."""
        names = {stop_id: self.template.backend.id_to_token(stop_id) for stop_id in self.stop_ids}
        places = [
            (text.find(name), stop_id) for stop_id, name in names.items() if name and name in text
        ]
        if not places:
            raise ConfigError(
                f"tokenizer {self.template.path}: its chat template ends a turn with none of the "
                f"stop tokens {list(names.values())}; pass the right stop_ids"
            )
        return min(places)

    def _hint_ids(self, text: str, role: Role, after: Role) -> tuple[int, ...]:
        """Cut the hint out of a rendering. Raises ``ConfigError`` unless the cut is exact."""
        history, calls = dummy_reply(after)
        message = Message(role, text, tool_call_id="hint" if role == "tool" else None)
        before, _ = self._text_behind_turn(history, calls)
        hinted, _ = self._text_behind_turn([*history, message], calls)
        if not hinted.startswith(before):
            raise ConfigError("the chat template would change what stands before the hint")
        # Word by word, because templates may trim a message or write it as a JSON string.
        if not all(word in hinted[len(before) :] for word in re.findall(r"\w+", text)):
            raise ConfigError("the chat template would leave the hint out")
        return self._cut(before, hinted)

    def _cut(self, before: str, hinted: str) -> tuple[int, ...]:
        """The ids of ``hinted`` between ``before`` and the generation prompt."""
        whole = self.template.encode(hinted + self.header_text)
        head, tail = self.template.encode(before), self.header_ids
        stop = len(whole) - len(tail)
        if whole[: len(head)] != head or whole[stop:] != tail or len(head) >= stop:
            raise ConfigError("the hint's tokens would merge with those around it")
        return whole[len(head) : stop]

    def _takes_hint(self, text: str, role: Role, after: Role) -> bool:
        try:
            self._hint_ids(text, role, after)
        except ConfigError:
            return False
        return True


def _form_of(template: Template, tool_form: str | None) -> str:
    source = template.source()
    if tool_form is not None:
        form_named(tool_form)
        return tool_form
    try:
        return detect_form(source)
    except ConfigError as error:
        raise ConfigError(f"tokenizer {template.path}: {error}") from error


def _header_of(template: Template) -> tuple[str, tuple[int, ...]]:
    """The generation prompt, as text and as the ids it has behind a message."""
    history = template_messages([Message("user", "question")])
    closed, opened = template.render(history, add_generation_prompt=False), template.render(history)
    head, whole = template.encode(closed), template.encode(opened)
    if not opened.startswith(closed) or whole[: len(head)] != head:
        raise ConfigError(
            f"tokenizer {template.path}: its generation prompt cannot be told from the message "
            "before it; use a chat template that appends it"
        )
    return opened.removeprefix(closed), whole[len(head) :]


def _stop_ids_of(template: Template, given: Sequence[int]) -> tuple[int, ...]:
    """What the template writes behind a turn, the tokenizer's EOS, then ``given``."""
    marker = unused_marker(())
    dummy = template_messages(dummy_turn(marker, ()))
    closed = template.render(dummy, add_generation_prompt=False)
    behind = template.encode(closed.rpartition(marker)[2])
    added = template.backend.get_added_tokens_decoder()
    ending = [token for token in behind if token in added and added[token].special][:1]
    eos: int | None = template.tokenizer.eos_token_id
    stop_ids: dict[int, None] = dict.fromkeys(ending + ([] if eos is None else [eos]))
    stop_ids.update(dict.fromkeys(given))
    if not stop_ids:
        raise ConfigError(f"tokenizer {template.path}: no token ends a turn; pass stop_ids")
    return tuple(stop_ids)
