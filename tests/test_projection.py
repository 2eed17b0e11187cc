"""The strict form of tool schemas: what it holds, what it says it left out, what it never does."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentsd.errors import ConfigError
from agentsd.tools.projection import KEPT, Projection, offered, projection, report
from agentsd.types import ToolSpec


def strict(schema: dict[str, Any]) -> Projection:
    return projection(ToolSpec("t", "", schema))


def with_property(schema: Any, **definitions: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": schema}, "$defs": definitions}


def shown(schema: Any, **definitions: Any) -> Any:
    """The strict form of one property."""
    return strict(with_property(schema, **definitions)).schema["properties"]["x"]


def changes(schema: Any, **definitions: Any) -> tuple[str, ...]:
    return strict(with_property(schema, **definitions)).changes


def keywords(schema: Any) -> Iterator[str]:
    """Every keyword of a strict schema."""
    if isinstance(schema, dict):
        yield from schema
        for name in ("items", "additionalProperties"):
            yield from keywords(schema.get(name))
        for child in [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]:
            yield from keywords(child)


# --- what the strict form says -------------------------------------------------------------------


def test_a_reference_is_replaced_by_what_it_stands_for():
    pet = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    assert shown({"$ref": "#/$defs/Pet"}, Pet=pet) == {**pet, "additionalProperties": False}


def test_what_stands_beside_a_reference_stays():
    got = shown(
        {"$ref": "#/$defs/Id", "description": "whose"}, Id={"type": "integer", "minimum": 1}
    )
    assert got == {"type": "integer", "description": "whose", "minimum": 1}


def test_a_schema_that_holds_itself_is_shown_twice_and_then_left_open():
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    got = strict(with_property({"$ref": "#/$defs/Node"}, Node=node))
    first = got.schema["properties"]["x"]
    assert first["properties"]["next"]["properties"]["next"] == {"type": "object"}
    assert got.changes == (
        "/properties/x/properties/next/properties/next: "
        "#/$defs/Node is left open: refers to itself",
    )


def test_references_that_multiply_are_left_open_instead_of_filling_the_prompt():
    levels = {
        f"L{i}": {
            "type": "object",
            "properties": {side: {"$ref": f"#/$defs/L{i + 1}"} for side in ("a", "b", "c")},
        }
        for i in range(12)
    } | {"L12": {"type": "string"}}
    got = strict(with_property({"$ref": "#/$defs/L0"}, **levels))
    assert len(json.dumps(got.schema)) < 200_000  # 3 ** 12 leaves would be 15 MB
    assert any("the schema is too large" in change for change in got.changes)


def test_objects_that_name_their_properties_take_no_others():
    got = strict({"type": "object", "properties": {"a": {"type": "object"}}})
    assert got.schema["additionalProperties"] is False
    assert got.schema["properties"]["a"] == {"type": "object"}, "a free-form object stays open"


def test_an_object_that_says_that_it_is_open_stays_open():
    schema = {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}}
    assert strict(schema).schema["additionalProperties"] == {"type": "string"}


def test_a_tool_without_arguments_takes_none():
    want = {"type": "object", "properties": {}, "additionalProperties": False}
    assert strict({"type": "object"}).schema == want
    assert strict({}).schema == want


def test_optional_arguments_stay_optional():
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}
    assert strict(schema).schema["required"] == ["b"]


def test_the_null_of_an_optional_value_becomes_part_of_its_type():
    got = shown({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "X"})
    assert got == {"type": ["string", "null"], "default": None}


def test_all_of_is_one_schema():
    named = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    aged = {"properties": {"b": {"type": "number", "minimum": 1}}, "required": ["b"]}
    more = {"properties": {"b": {"type": "integer", "minimum": 0}}}
    assert shown({"allOf": [named, aged, more]}) == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer", "minimum": 1}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }


def test_a_constant_is_a_choice_of_one():
    assert shown({"const": "v1"}) == {"enum": ["v1"]}


def test_siblings_of_a_union_go_into_each_form():
    got = shown({"type": "string", "anyOf": [{"maxLength": 3}, {"enum": ["long"]}]})
    assert got == {
        "anyOf": [{"type": "string", "maxLength": 3}, {"type": "string", "enum": ["long"]}]
    }


def test_forms_of_arguments_are_read_as_one_object():
    by_id = {"properties": {"id": {"type": "integer"}, "now": {}}, "required": ["id", "now"]}
    by_name = {"properties": {"name": {"type": "string"}, "now": {}}, "required": ["name", "now"]}
    got = strict({"type": "object", "oneOf": [by_id, by_name]})
    assert list(got.schema["properties"]) == ["id", "now", "name"]
    assert got.schema["required"] == ["now"]
    assert "arguments: one of 2 forms of arguments, read as one object" in got.changes


def test_a_tuple_of_an_older_draft_is_a_list_of_its_forms():
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}
    schema = {**with_property({**pair, "additionalItems": False})}
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    assert strict(schema).schema["properties"]["x"] == {
        "type": "array",
        "maxItems": 2,
        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    }


# --- what it says it left out --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "change"),
    [
        ({"not": {"type": "null"}}, "not is left to validation"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems is left to validation"),
        ({"type": "string", "format": "uri"}, "format 'uri' is left to validation"),
        (
            {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "oneOf reads as anyOf: that only one form fits is not shown",
        ),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "string"}}},
            "patternProperties: the pattern of names is left to validation",
        ),
        (
            {"allOf": [{"pattern": "a"}, {"pattern": "b"}]},
            "pattern stands in several parts of allOf; the first is kept",
        ),
    ],
)
def test_what_the_strict_form_cannot_say_is_reported(schema: Any, change: str):
    assert changes(schema) == (f"/properties/x: {change}",)


def test_the_report_names_the_tools_that_change():
    plain = ToolSpec("plain", "", with_property({"type": "string"}))
    odd = ToolSpec("odd", "", with_property({"not": {}}))
    assert report([plain, odd]) == {"odd": ("/properties/x: not is left to validation",)}


def test_a_schema_that_is_not_valid_is_one_line_that_names_tool_and_place():
    spec = ToolSpec("find", "", with_property({"type": "strin"}))
    with pytest.raises(ConfigError, match=r"tool find: .* at properties/x/type: 'strin'") as caught:
        projection(spec)
    assert "\n" not in str(caught.value)


# --- what it never does --------------------------------------------------------------------------

VALUES: list[Any] = [
    *(None, 0, 1, 2.5, -3, "", "a", "ab", [], [1], ["a", "a"], {}),
    *({"a": 1}, {"a": "a"}, {"b": "x"}, {"a": 1, "b": "x"}, {"a": {"a": 1}}, {"a": 1, "z": 1}),
    *([{"a": 1}], {"a": None}, {"a": [1]}),
]
KINDS = ["string", "integer", "number", "boolean", "null", "object", "array"]


def objects(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(st.sampled_from("ab"), schemas, max_size=2),
            "required": st.lists(st.sampled_from("ab"), max_size=2, unique=True),
            "additionalProperties": st.booleans() | schemas,
        },
    )


def composed(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(schemas, min_size=1, max_size=3)
    return st.one_of(
        objects(schemas),
        st.fixed_dictionaries({"type": st.just("array")}, optional={"items": schemas}),
        st.fixed_dictionaries({"anyOf": some}, optional={"type": st.sampled_from(KINDS)}),
        st.fixed_dictionaries({"allOf": some}),
        st.fixed_dictionaries({"oneOf": some}),
        st.fixed_dictionaries({"prefixItems": some}),
        st.builds(lambda ref: {"$ref": ref}, st.sampled_from(["#/$defs/A", "#/$defs/B"])),
    )


LEAVES = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(KINDS)}),
    st.builds(lambda value: {"const": value}, st.sampled_from(VALUES)),
    st.builds(lambda values: {"enum": values}, st.lists(st.sampled_from(VALUES), min_size=1)),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-3, 3)}),
    st.fixed_dictionaries({"type": st.just("string"), "maxLength": st.integers(0, 3)}),
    st.just({}),
    st.booleans(),
)
SCHEMAS = st.recursive(LEAVES, composed, max_leaves=6)


@given(SCHEMAS, SCHEMAS, SCHEMAS)
@settings(max_examples=150, deadline=None)
def test_what_the_strict_form_accepts_the_original_accepts_unless_a_change_says_so(
    schema: Any, a: Any, b: Any
):
    original = with_property(schema, A=a, B=b)
    try:
        projected = strict(copy.deepcopy(original))
    except ConfigError:
        return
    Draft202012Validator.check_schema(projected.schema)
    assert set(keywords(projected.schema)) <= set(KEPT)
    if projected.changes or _loops(original):
        return
    narrow, wide = Draft202012Validator(projected.schema), Draft202012Validator(original)
    for value in VALUES:
        if narrow.is_valid({"x": value}):
            assert wide.is_valid({"x": value}), (projected.schema, value)


def _loops(schema: dict[str, Any]) -> bool:
    """Whether a definition refers to nothing but itself, which no validator can follow."""
    try:
        Draft202012Validator(schema).is_valid({"x": {"a": {"a": 1}}})
    except RecursionError:
        return True
    return False


def test_the_strict_form_of_a_strict_form_is_itself():
    schema = with_property({"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}]}, P={"not": {}})
    once = offered(ToolSpec("t", "", schema))
    assert offered(once) == once
    assert projection(once).changes == ()


def test_the_original_is_not_touched():
    schema = with_property({"allOf": [{"const": 1}], "title": "X"})
    before = copy.deepcopy(schema)
    strict(schema)
    assert schema == before
