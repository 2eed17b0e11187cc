"""Characters and the tokens behind them, exact even where a character takes several tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from agentsd.errors import ConfigError, TokenError
from agentsd.textmap import TextMap, find_quote
from agentsd.types import Span


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """All bytes, a few merges, two special tokens: ids 0 and 1."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|start|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["find the cat, find the dog 😀 é"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")


def sentencepiece_like_tokenizer() -> PreTrainedTokenizerFast:
    """Words with a leading ``▁`` and bytes for everything else, as Llama 2 and Mistral have."""
    vocab = {f"<0x{byte:02X}>": byte for byte in range(256)}
    for piece in ["▁find", "▁the", "▁cat", "▁", "a", "</s>"]:
        vocab[piece] = len(vocab)
    backend = Tokenizer(models.BPE(vocab, [], byte_fallback=True, fuse_unk=True))
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.add_special_tokens([AddedToken("</s>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")


BYTE_LEVEL = byte_level_tokenizer()
SENTENCEPIECE = sentencepiece_like_tokenizer()


def single_bytes(text: str) -> list[int]:
    """One id per UTF-8 byte, however the tokenizer would merge them."""
    words = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    vocab = BYTE_LEVEL.get_vocab()
    return [vocab[letter] for word, _ in words for letter in word]


def test_a_span_is_covered_by_the_fewest_tokens():
    ids = single_bytes("abcd")
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    assert text_map.text == "abcd"
    assert text_map.char_spans == (Span(0, 1), Span(1, 2), Span(2, 3), Span(3, 4))
    assert text_map.tokens_of(Span(1, 3)) == Span(1, 3)


def test_the_tokens_of_one_character_share_its_span():
    ids = single_bytes("a😀é")  # 1 + 4 + 2 bytes
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    assert text_map.char_spans == (Span(0, 1), *[Span(1, 2)] * 4, *[Span(2, 3)] * 2)
    assert text_map.tokens_of(Span(1, 2)) == Span(1, 5)
    assert text_map.tokens_of(Span(2, 3)) == Span(5, 7)
    assert text_map.tokens_of(Span(0, 3)) == Span(0, 7)


def test_a_token_that_is_half_inside_a_span_belongs_to_it():
    ids = BYTE_LEVEL.encode("find the cat", add_special_tokens=False)
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    widest = max(text_map.char_spans, key=len)
    assert len(widest) > 1
    inner = Span(widest.stop - 1, widest.stop)
    assert text_map.tokens_of(inner) == text_map.tokens_of(widest)


def test_special_tokens_are_text_like_any_other():
    ids = [0, *single_bytes("a"), 1]
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    assert text_map.text == "<|start|>a<|end|>"
    assert text_map.tokens_of(Span(9, 10)) == Span(1, 2)


def test_a_last_character_cut_in_half_is_one_replacement_character():
    ids = single_bytes("a😀")[:-1]
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    assert text_map.text == "a\ufffd"
    assert text_map.tokens_of(Span(1, 2)) == Span(1, 4)


def test_bytes_that_are_no_character_are_mapped_with_the_text_they_stand_before():
    ids = [*single_bytes("😀")[:2], *single_bytes("ok")]
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    assert text_map.text == "\ufffdok"
    assert text_map.tokens_of(Span(0, 1)) == Span(0, 3)
    assert text_map.tokens_of(Span(2, 3)) == Span(3, 4)


def test_a_tokenizer_with_leading_spaces_and_byte_fallback_is_mapped_too():
    ids = [256, 257, 258, 259, 0xF0, 0x9F, 0x98, 0x80, 260, 261]
    text_map = TextMap.from_ids(SENTENCEPIECE, ids)
    assert text_map.text == "find the cat 😀a</s>"
    assert text_map.tokens_of(Span(*find_span(text_map.text, "the"))) == Span(1, 2)
    assert text_map.tokens_of(Span(*find_span(text_map.text, "😀"))) == Span(4, 8)


def find_span(text: str, quote: str) -> tuple[int, int]:
    return text.index(quote), text.index(quote) + len(quote)


@pytest.mark.parametrize("span", [Span(1, 1), Span(2, 4), Span(5, 6)])
def test_no_tokens_stand_behind_an_empty_span_or_one_outside_the_text(span: Span):
    text_map = TextMap.from_ids(BYTE_LEVEL, single_bytes("abc"))
    with pytest.raises(TokenError, match=r"characters \["):
        text_map.tokens_of(span)


def test_an_id_without_text_takes_none():
    # Embedding matrices are padded, so a model can sample an id that no tokenizer knows.
    unknown = BYTE_LEVEL.vocab_size + 7
    text_map = TextMap.from_ids(BYTE_LEVEL, [*single_bytes("ab"), unknown])
    assert text_map == TextMap("ab", (Span(0, 1), Span(1, 2), Span(2, 2)))
    assert text_map.tokens_of(Span(0, 2)) == Span(0, 2)


def test_no_ids_are_no_text():
    assert TextMap.from_ids(BYTE_LEVEL, []) == TextMap("", ())


@given(st.lists(st.integers(0, BYTE_LEVEL.vocab_size - 1), max_size=24))
def test_any_ids_decode_to_the_text_that_decoding_at_once_gives(ids: list[int]):
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    assert text_map.text == BYTE_LEVEL.backend_tokenizer.decode(ids, skip_special_tokens=False)
    assert len(text_map.char_spans) == len(ids)
    covered = 0
    for span in text_map.char_spans:
        assert span.start <= covered <= max(covered, span.stop)
        covered = span.stop
    assert covered == len(text_map.text)


@given(st.lists(st.integers(0, SENTENCEPIECE.vocab_size - 1), max_size=24))
def test_any_ids_of_a_byte_fallback_tokenizer_are_mapped_or_refused(ids: list[int]):
    try:
        text_map = TextMap.from_ids(SENTENCEPIECE, ids)
    except TokenError:
        return
    assert text_map.text == SENTENCEPIECE.backend_tokenizer.decode(ids, skip_special_tokens=False)


@given(st.text(min_size=1, max_size=30), st.data())
def test_the_tokens_of_a_span_decode_to_text_that_contains_it(text: str, data: st.DataObject):
    ids = BYTE_LEVEL.encode(text, add_special_tokens=False)
    text_map = TextMap.from_ids(BYTE_LEVEL, ids)
    assert text_map.text == text
    start = data.draw(st.integers(0, len(text) - 1))
    stop = data.draw(st.integers(start + 1, len(text)))
    tokens = text_map.tokens_of(Span(start, stop))
    covered = BYTE_LEVEL.backend_tokenizer.decode(
        ids[tokens.start : tokens.stop], skip_special_tokens=False
    )
    assert text[start:stop] in covered
    spans = text_map.char_spans[tokens.start : tokens.stop]
    assert all(span.overlaps(Span(start, stop)) for span in spans)


def test_a_quote_is_found_where_it_stands():
    assert find_quote('{"city": "Oslo"}', '"Oslo"') == Span(9, 15)


@pytest.mark.parametrize(
    ("text", "quote", "reason"),
    [
        ("abc", "d", "not in the text"),
        ("abcabc", "abc", "stands 2 times"),
        ("aaa", "aa", "stands 2 times"),
        ("abc", "", "empty quote"),
    ],
)
def test_a_quote_that_is_absent_or_ambiguous_is_refused(text: str, quote: str, reason: str):
    with pytest.raises(TokenError, match=reason):
        find_quote(text, quote)


def test_a_slow_tokenizer_is_refused_with_what_to_do():
    with pytest.raises(ConfigError, match=r"save it as tokenizer\.json"):
        TextMap.from_ids(object(), [1])
