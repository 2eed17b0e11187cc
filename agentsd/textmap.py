"""Map characters of decoded text to the sampled tokens behind them, without re-tokenising.

Knows nothing of messages, tool calls or turns.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from agentsd.errors import ConfigError, TokenError
from agentsd.types import Span


@dataclass(frozen=True, slots=True)
class TextMap:
    """The text of some tokens, and which characters each token wrote."""

    text: str
    char_spans: tuple[Span, ...]
    """One per token, ascending. Tokens that only together make up a character share its span."""

    @classmethod
    def from_ids(cls, tokenizer: Any, ids: Sequence[int]) -> TextMap:
        """Decode ``ids``, special tokens included, and remember who wrote what.

        Raises ``ConfigError`` for a tokenizer without a fast backend, ``TokenError`` when decoding
        token by token gives another text than decoding at once.
        """
        backend = backend_of(tokenizer)
        text = backend.decode(list(ids), skip_special_tokens=False)
        return cls(text, _char_spans(backend, ids, text))

    def tokens_of(self, char_span: Span) -> Span:
        """The fewest neighbouring tokens that cover the characters, counted from the first id.

        Raises ``TokenError`` when the span is empty or outside the text.
        """
        if not len(char_span) or char_span.stop > len(self.text):
            raise TokenError(
                f"characters [{char_span.start}, {char_span.stop}) are "
                f"{'none' if not len(char_span) else f'outside a text of {len(self.text)}'}"
            )
        first = bisect_right(self.char_spans, char_span.start, key=lambda span: span.stop)
        stop = bisect_left(self.char_spans, char_span.stop, key=lambda span: span.start)
        return Span(first, stop)


def find_quote(text: str, quote: str) -> Span:
    """The characters where ``quote`` stands. Raises ``TokenError`` unless it is there just once."""
    if not quote:
        raise TokenError("an empty quote stands everywhere; quote at least one character")
    start = text.find(quote)
    if start < 0:
        raise TokenError(f"quote {quote!r} is not in the text; quotes must be literal")
    count = _count_overlapping(text, quote, start)
    if count > 1:
        raise TokenError(f"quote {quote!r} stands {count} times in the text; quote more of it")
    return Span(start, start + len(quote))


def backend_of(tokenizer: Any) -> Tokenizer:
    """The Rust tokenizer under a transformers tokenizer. Raises ``ConfigError`` without one."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not isinstance(backend, Tokenizer):
        path, kind = getattr(tokenizer, "name_or_path", ""), type(tokenizer).__name__
        raise ConfigError(
            f"tokenizer {path!r} ({kind}): no fast backend, so characters cannot be mapped to "
            "tokens; save it as tokenizer.json and load it with AutoTokenizer"
        )
    return backend


def _char_spans(backend: Tokenizer, ids: Sequence[int], text: str) -> tuple[Span, ...]:
    """Give every token the characters of the step at which its text became known."""
    stream = DecodeStream(skip_special_tokens=False)
    spans: list[Span] = []
    done = waiting = 0
    for token in ids:
        chunk = stream.step(backend, token)
        waiting += 1
        if chunk is None:
            continue
        if not text.startswith(chunk, done):
            raise TokenError(
                f"token {len(spans)} streams as {chunk!r} where the whole text has "
                f"{text[done : done + len(chunk)]!r}"
            )
        spans.extend([Span(done, done + len(chunk))] * waiting)
        done, waiting = done + len(chunk), 0
    # A last character of which bytes are missing never streams; decoding at once shows U+FFFD.
    if not waiting and done != len(text):
        raise TokenError(f"tokens stream as {done} characters where the whole text has {len(text)}")
    return (*spans, *[Span(done, len(text))] * waiting)


def _count_overlapping(text: str, quote: str, start: int) -> int:
    """How often ``quote`` stands in ``text`` from ``start`` on, overlaps included."""
    count = 0
    while start >= 0:
        count += 1
        start = text.find(quote, start + 1)
    return count
