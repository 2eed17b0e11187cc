"""Places of values in JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsd.jsonspans import child, inside_quotes, key_span, locate, parent, value_span
from agentsd.types import Span

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def pointed(value: Any, pointer: str) -> Any:
    """The value that a pointer names."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_every_place_holds_the_text_of_its_value(value: Any, indent: int | None, ascii_only: bool):
    raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    places = locate(raw)
    assert places[""].value == Span(0, len(raw))
    for pointer, located in places.items():
        text = raw[located.value.start : located.value.stop]
        assert json.dumps(json.loads(text)) == json.dumps(pointed(value, pointer))


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_every_key_is_found_where_it_is_written(value: dict[str, Any]):
    raw = json.dumps(value)
    for name in value:
        span = key_span(raw, name)
        assert span is not None
        assert json.loads(raw[span.start : span.stop]) == name


def test_a_value_span_covers_the_quotes_and_inside_quotes_does_not():
    raw = '{"day": "monday", "hour": 9}'
    assert value_span(raw, "day") == Span(8, 16)
    assert inside_quotes(raw, Span(8, 16)) == Span(9, 15)
    assert value_span(raw, "hour") == Span(26, 27)
    assert inside_quotes(raw, Span(26, 27)) == Span(26, 27)


def test_quotes_braces_and_names_inside_strings_do_not_confuse():
    raw = r'{"a": "}\", \"b\": 1", "b": [2, {"b": 3}]}'
    span = value_span(raw, "b")
    assert span is not None
    assert raw[span.start : span.stop] == '[2, {"b": 3}]'
    inner = locate(raw)["/b/1/b"].value
    assert raw[inner.start : inner.stop] == "3"


def test_an_escaped_key_is_found_by_its_meaning():
    raw = r'{"\u0064ay": "mon"}'
    assert value_span(raw, "day") == Span(13, 18)


def test_of_a_repeated_key_the_last_one_counts_with_all_it_holds():
    raw = '{"a": {"x": 1}, "a": {"y": 2}}'
    assert value_span(raw, "a") == Span(21, 29)
    assert sorted(locate(raw)) == ["", "/a", "/a/y"]


def test_slashes_and_tildes_in_keys_are_escaped_in_pointers():
    assert child("", "a/b~c") == "/a~1b~0c"
    assert "/a~1b~0c" in locate('{"a/b~c": 1}')
    assert parent("/a/b") == "/a"
    assert parent("") == ""


@pytest.mark.parametrize("raw", ["", "{", '{"a": }', "<day>mon</day>", "[" * 100_000])
def test_what_is_not_json_has_no_places(raw: str):
    assert locate(raw) == {}


def test_a_name_that_is_not_there_has_no_span():
    assert value_span('{"a": {"b": 1}}', "b") is None
    assert key_span("[1]", "0") is None
