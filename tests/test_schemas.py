"""What is wrong with a call's arguments, and which tool schemas cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from agentsd.errors import ConfigError
from agentsd.schemas import SchemaError, check_schema, first_schema_error
from agentsd.types import ToolSpec

ADDRESS = {
    "type": "object",
    "properties": {"street": {"type": "string"}, "zip": {"type": "integer"}},
    "required": ["street", "zip"],
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "level": {"enum": ["low", "high"]},
        "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "address": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "level"],
    "additionalProperties": False,
    "$defs": {"address": ADDRESS},
}
GOOD = {"name": "Ada", "level": "low"}


def error_of(arguments: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> SchemaError | None:
    return first_schema_error(ToolSpec("register", "Register.", schema), arguments)


def test_arguments_that_satisfy_the_schema_have_no_error():
    assert error_of(GOOD | {"limit": None, "tags": ["a"], "address": None}) is None


@pytest.mark.parametrize(
    ("arguments", "kind", "pointer", "message"),
    [
        ({}, "missing", "/name", "missing required argument 'name'"),
        ({"name": "Ada"}, "missing", "/level", "missing required argument 'level'"),
        ({**GOOD, "b": 1, "a": 2}, "unexpected", "/b", "unexpected argument 'b'"),
        (
            {**GOOD, "level": "mid"},
            "value",
            "/level",
            "argument 'level': 'mid' is not one of ['low', 'high']",
        ),
        (
            {**GOOD, "limit": "3"},
            "value",
            "/limit",
            "argument 'limit': '3' is not of type 'integer', 'null'",
        ),
        (
            {**GOOD, "tags": ["a", 1]},
            "value",
            "/tags/1",
            "argument 'tags.1': 1 is not of type 'string'",
        ),
        (
            {**GOOD, "address": {"street": "x"}},
            "missing",
            "/address/zip",
            "missing required argument 'zip' in 'address'",
        ),
        (
            {**GOOD, "address": {"street": "x", "zip": 1, "a/b": 2}},
            "unexpected",
            "/address/a~1b",
            "unexpected argument 'a/b' in 'address'",
        ),
    ],
)
def test_the_error_says_what_is_wrong_and_where(
    arguments: dict[str, Any], kind: str, pointer: str, message: str
):
    error = error_of(arguments)
    assert error is not None
    assert (error.kind, error.pointer, error.message) == (kind, pointer, message)


def test_missing_comes_before_unexpected_and_both_before_values():
    both_wrong = {"nmae": "Ada", "level": "mid"}
    first = error_of(both_wrong)
    assert first is not None
    assert first.message == "missing required argument 'name'"
    second = error_of({"name": "Ada", **both_wrong})
    assert second is not None
    assert second.message == "unexpected argument 'nmae'"


def test_wrong_values_are_reported_in_the_order_in_which_they_were_written():
    error = error_of({"limit": "x", "name": 1, "level": "low"})
    assert error is not None
    assert error.argument == "limit"


def test_the_error_carries_what_the_schema_says_about_the_argument():
    missing, wrong = error_of({"name": "Ada"}), error_of({**GOOD, "level": "mid"})
    assert missing is not None
    assert missing.schema == {"enum": ["low", "high"]}
    assert wrong is not None
    assert wrong.schema == {"enum": ["low", "high"]}


def test_the_message_is_one_bounded_line_that_keeps_the_reason():
    error = error_of({**GOOD, "level": "very\nlong " * 500})
    assert error is not None
    assert len(error.message) < 250
    assert "\n" not in error.message
    assert error.message.endswith("is not one of ['low', 'high']")


def test_properties_that_a_sibling_keyword_knows_are_not_called_unexpected():
    schema = {
        "allOf": [{"properties": {"inherited": {"type": "string"}}}],
        "properties": {"own": {"type": "string"}},
        "unevaluatedProperties": False,
    }
    assert error_of({"inherited": "x", "own": "y"}, schema) is None
    error = error_of({"inherited": "x", "other": 1}, schema)
    assert error is not None
    assert (error.kind, error.argument) == ("unexpected", "other")


def test_a_schema_that_names_its_draft_is_read_by_that_draft():
    draft_7 = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"pair": {"type": "array", "items": [{"type": "string"}]}},
    }
    check_schema("t", draft_7)
    assert error_of({"pair": [1]}, draft_7) is not None


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array"}, "must describe an object, not array"),
        ({"properties": {"a": {"type": "text"}}}, "not valid JSON Schema at properties/a/type"),
        ({"properties": {"a": {"pattern": "("}}}, "'(' is not a 'regex'"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "refers to '#/$defs/b'"),
        ({"properties": {"a": {"$ref": "https://x.test/b"}}}, "refers to 'https://x.test/b'"),
        ({"properties": {"a": {"default": object()}}}, "is not JSON"),
    ],
)
def test_a_schema_that_cannot_be_used_is_one_clear_line(schema: dict[str, Any], reason: str):
    with pytest.raises(ConfigError, match=r"^tool register: the input schema ") as caught:
        check_schema("register", schema)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reference_inside_data_is_not_a_reference():
    check_schema("t", {"properties": {"a": {"default": {"$ref": "#/nowhere"}}}})


def test_an_unchecked_schema_that_breaks_is_a_config_error_too():
    with pytest.raises(ConfigError, match="tool register"):
        error_of({"a": 1}, {"properties": {"a": {"$ref": "#/$defs/gone"}}})
