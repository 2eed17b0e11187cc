"""The forms besides Hermes: typed values, shared markers, and their own ways to be malformed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agentsd.toolcalls import ParsedTurn, parse_turn
from agentsd.types import Span, ToolCall, ToolSpec

TRIP = ToolSpec(
    name="trip",
    description="Plan a trip.",
    input_schema={
        "type": "object",
        "properties": {
            "to": {"type": "string"},
            "days": {"type": "integer"},
            "budget": {"type": ["number", "null"]},
            "direct": {"type": "boolean"},
            "stops": {"type": "array", "items": {"type": "string"}},
            "seat": {"anyOf": [{"$ref": "#/$defs/Seat"}, {"type": "null"}]},
            "class": {"enum": [1, 2]},
            "note": {},
        },
        "$defs": {"Seat": {"type": "object"}},
    },
)


def quoted(text: str, span: Span | None) -> str | None:
    return None if span is None else text[span.start : span.stop]


def only_call(turn: ParsedTurn) -> ToolCall:
    assert len(turn.tool_calls) == 1
    return turn.tool_calls[0]


def call_text(text: str, call: ToolCall) -> str | None:
    assert call.spans is not None
    return quoted(text, call.spans.call)


def problem_text(text: str, call: ToolCall) -> str | None:
    assert call.spans is not None
    return quoted(text, call.spans.problem)


def name_text(text: str, call: ToolCall) -> str | None:
    assert call.spans is not None
    return quoted(text, call.spans.name)


# --- qwen3_coder and glm: values typed by the schema ---------------------------------------------


def qwen3_coder_text(arguments: Sequence[tuple[str, str]]) -> str:
    parameters = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments)
    return f"<tool_call>\n<function=trip>\n{parameters}</function>\n</tool_call>"


def glm_text(arguments: Sequence[tuple[str, str]]) -> str:
    pairs = "".join(
        f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" for key, value in arguments
    )
    return f"<tool_call>trip\n{pairs}</tool_call>"


TAGGED = [("qwen3_coder", qwen3_coder_text), ("glm", glm_text)]


@pytest.mark.parametrize(("form", "write"), TAGGED)
def test_tagged_values_take_the_type_their_schema_declares(form, write):
    arguments = [
        ("to", "7"),
        ("days", "7"),
        ("budget", "null"),
        ("direct", "True"),
        ("stops", '["Rome", "Bari"]'),
        ("seat", '{"row": 3}'),
        ("class", "2"),
        ("note", "a\nb"),
    ]
    text = f"Booking.\n{write(arguments)}\n"
    turn = parse_turn(text, form, 2, [TRIP])
    call = only_call(turn)
    assert (call.id, call.name, call.problem) == ("call_2_0", "trip", None)
    assert call.arguments == {
        "to": "7",
        "days": 7,
        "budget": None,
        "direct": True,
        "stops": ["Rome", "Bari"],
        "seat": {"row": 3},
        "class": 2,
        "note": "a\nb",
    }
    assert turn.content == "Booking."
    assert name_text(text, call) == "trip"


@pytest.mark.parametrize(("form", "write"), TAGGED)
def test_a_value_that_does_not_fit_its_type_stays_text_for_the_schema_check(form, write):
    call = only_call(parse_turn(write([("days", "many"), ("direct", "1")]), form, 0, [TRIP]))
    assert call.arguments == {"days": "many", "direct": "1"}


@pytest.mark.parametrize(("form", "write"), TAGGED)
def test_raw_arguments_reach_from_the_first_to_the_last_argument(form, write):
    text = write([("to", "Rome"), ("days", "7")])
    call = only_call(parse_turn(text, form, 0))
    assert call.raw_arguments.startswith(("<parameter=to>", "<arg_key>to"))
    assert call.raw_arguments.endswith(("7\n</parameter>", "7</arg_value>"))


@pytest.mark.parametrize(("form", "write"), TAGGED)
def test_a_tagged_call_without_arguments_is_well_formed(form, write):
    call = only_call(parse_turn(write([]), form, 0, [TRIP]))
    assert (call.arguments, call.raw_arguments, call.problem) == ({}, "", None)


@pytest.mark.parametrize(
    ("form", "text", "name", "from_there"),
    [
        (
            "qwen3_coder",
            "<tool_call>\n<function=f>\n<parameter=x>\n1\n</function>\n</tool_call>",
            "f",
            "</tool_call>",
        ),
        (
            "qwen3_coder",
            "<tool_call><function=f><parameter=x>1<parameter=y>2</parameter></function></tool_call>",
            "f",
            "<parameter=y>2</parameter></function></tool_call>",
        ),
        (
            "qwen3_coder",
            "<tool_call><function=f></function> why</tool_call>",
            "f",
            "why</tool_call>",
        ),
        ("qwen3_coder", '<tool_call>{"name": "f"}</tool_call>', "", '{"name": "f"}</tool_call>'),
        ("qwen3_coder", "<tool_call>\n<function=f>\n<parameter=x>\n1", "f", ""),
        (
            "qwen3_coder",
            "<function=f>\n</function>\n</tool_call>",
            "f",
            "<function=f>\n</function>\n</tool_call>",
        ),
        (
            "glm",
            "<tool_call>f\n<arg_key>x</arg_key>\n</tool_call>",
            "f",
            "<arg_key>x</arg_key>\n</tool_call>",
        ),
        (
            "glm",
            "<tool_call>f<arg_key>x</arg_key><arg_value>1</tool_call>",
            "f",
            "</tool_call>",
        ),
        ("glm", "<tool_call></tool_call>", "", "</tool_call>"),
        ("glm", "<tool_call>f", "f", ""),
    ],
)
def test_a_malformed_tagged_call_is_data(form: str, text: str, name: str, from_there: str):
    call = only_call(parse_turn(text, form, 0))
    assert (call.name, call.arguments) == (name, None)
    assert call.problem
    assert call_text(text, call) == text
    assert problem_text(text, call) == from_there


def test_a_forgotten_opening_marker_does_not_hide_the_calls_behind_it():
    text = (
        "<function=f>\n</function>\n</tool_call>\n"
        "<tool_call>\n<function=g>\n</function>\n</tool_call>"
    )
    first, second = parse_turn(text, "qwen3_coder", 0).tool_calls
    assert (first.name, first.problem) == ("f", "no <tool_call> before <function=")
    assert (second.name, second.arguments) == ("g", {})


# --- llama3_json ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["", "<|python_tag|>"])
def test_a_llama_turn_is_a_call_as_a_whole(tag: str):
    text = tag + '{"name": "f", "parameters": {"x": 1}}'
    turn = parse_turn(text, "llama3_json", 0)
    call = only_call(turn)
    assert (call.name, call.raw_arguments, call.arguments) == ("f", '{"x": 1}', {"x": 1})
    assert call_text(text, call) == text
    assert turn.content == ""


def test_llama_calls_are_separated_by_semicolons():
    text = '{"name": "f", "parameters": {}}; {"name": "g", "arguments": {"y": ";"}}'
    first, second = parse_turn(text, "llama3_json", 0).tool_calls
    assert (first.name, second.name, second.arguments) == ("f", "g", {"y": ";"})
    assert call_text(text, first) == '{"name": "f", "parameters": {}}'


@pytest.mark.parametrize(
    "answer", ["Rome.", '{"answer": 3}', '{"name": "Ada", "born": 1815}', "{", "", '["name"]']
)
def test_an_untagged_answer_in_json_is_no_call(answer: str):
    assert parse_turn(answer, "llama3_json", 0) == ParsedTurn(answer, None, ())


@pytest.mark.parametrize(
    ("text", "name", "from_there"),
    [
        ('{"name": "f", "parameters": {"x": 1}} I hope.', "f", "I hope."),
        ('{"name": "f", "parameters": {"x": ', "f", ""),
        ('{"name": "f", "parameters": 1}', "f", "1}"),
        ('<|python_tag|>brave_search.call(query="x")', "", 'brave_search.call(query="x")'),
        ('<|python_tag|>{"answer": 3}', "", "}"),
    ],
)
def test_a_malformed_llama_call_takes_the_rest_of_the_turn(text: str, name: str, from_there: str):
    call = only_call(parse_turn(text, "llama3_json", 0))
    assert (call.name, call.arguments) == (name, None)
    assert call_text(text, call) == text
    assert problem_text(text, call) == from_there


# --- mistral -------------------------------------------------------------------------------------


def test_mistral_calls_share_a_marker_and_a_bracket():
    text = (
        'Let me see.[TOOL_CALLS] [{"name": "f", "arguments": {"x": [1]}, "id": "abcdefghi"}, '
        '{"arguments": {}, "name": "g"}]'
    )
    turn = parse_turn(text, "mistral", 0)
    first, second = turn.tool_calls
    assert turn.content == "Let me see."
    assert (first.name, first.raw_arguments, second.name) == ("f", '{"x": [1]}', "g")
    assert (call_text(text, first) or "").startswith('[TOOL_CALLS] [{"name": "f"')
    assert (call_text(text, second) or "") == ', {"arguments": {}, "name": "g"}]'


@pytest.mark.parametrize("call_id", ["", "[CALL_ID]abcdefghi"])
def test_newer_mistral_calls_have_a_marker_each(call_id: str):
    text = f'[TOOL_CALLS]f{call_id}[ARGS]{{"x": "[TOOL_CALLS]"}}[TOOL_CALLS]g[ARGS]{{}}'
    first, second = parse_turn(text, "mistral", 0).tool_calls
    assert (first.name, first.arguments) == ("f", {"x": "[TOOL_CALLS]"})
    assert (second.name, second.arguments, second.raw_arguments) == ("g", {}, "{}")


@pytest.mark.parametrize(
    ("text", "name", "from_there"),
    [
        ('[TOOL_CALLS] [{"name": "f", "arguments": {}}', "f", ""),
        ('[TOOL_CALLS] [{"name": "f", "arguments": {}} and', "f", "and"),
        ('[TOOL_CALLS] [{"name": "f", "arguments": {"x": }}]', "f", "}}]"),
        ("[TOOL_CALLS] []", "", "]"),
        ("[TOOL_CALLS]", "", ""),
        ('[TOOL_CALLS]f{"x": 1}', "f", '{"x": 1}'),
        ("[TOOL_CALLS]f[ARGS]{x}", "f", "x}"),
        ("[TOOL_CALLS]f[ARGS][1]", "f", "[1]"),
        ("[TOOL_CALLS][ARGS]{}", "", "[ARGS]{}"),
    ],
)
def test_a_malformed_mistral_call_is_data(text: str, name: str, from_there: str):
    call = only_call(parse_turn(text, "mistral", 0))
    assert (call.name, call.arguments) == (name, None)
    assert call.problem
    assert call_text(text, call) == text
    assert problem_text(text, call) == from_there
