"""Tool calls in text: every part found where it stands, nothing ever raised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentsd.errors import ConfigError
from agentsd.toolcalls import FORMS, ParsedTurn, detect_form, parse_turn
from agentsd.types import Span, ToolCall, ToolSpec

F = ToolSpec("f", "", {"properties": {"x": {"type": "integer"}, "k": {"type": "array"}}})


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


# --- hermes --------------------------------------------------------------------------------------


def test_a_hermes_call_is_found_with_the_exact_place_of_every_part():
    #       0         1         2         3         4
    #       0123456789012345678901234567890123456789012345678901
    text = 'ok <tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>'
    call = only_call(parse_turn(text, "hermes", 7))
    assert (call.id, call.name, call.raw_arguments) == ("call_7_0", "f", '{"x": 1}')
    assert call.arguments == {"x": 1}
    assert call.problem is None
    assert call.spans is not None
    assert call.spans.call == Span(3, 62)
    assert call.spans.name == Span(24, 25)
    assert call.spans.arguments == Span(41, 49)
    assert call.spans.problem is None


def test_arguments_may_stand_before_the_name():
    text = '<tool_call>\n{ "arguments" : {"x": [1, 2]} , "name" : "f" }\n</tool_call>'
    call = only_call(parse_turn(text, "hermes", 0))
    assert (call.name, call.raw_arguments) == ("f", '{"x": [1, 2]}')
    assert call.problem is None


def test_quotes_braces_and_markers_inside_strings_do_not_end_a_call():
    raw = '{"x": "a \\" } </tool_call> é 😀", "name": "not me"}'
    text = f'<tool_call>{{"name": "f", "arguments": {raw}}}</tool_call> done'
    turn = parse_turn(text, "hermes", 0)
    call = only_call(turn)
    assert (call.name, call.raw_arguments, call.problem) == ("f", raw, None)
    assert call.arguments == {"x": 'a " } </tool_call> é 😀', "name": "not me"}
    assert turn.content == "done"


def test_of_repeated_keys_the_last_counts_as_everywhere_in_python():
    text = (
        '<tool_call>{"name": "f", "name": "g", "arguments": {}, "arguments": {"x": 1, "x": 2}}'
        "</tool_call>"
    )
    call = only_call(parse_turn(text, "hermes", 0))
    assert (call.name, name_text(text, call)) == ("g", "g")
    assert (call.raw_arguments, call.arguments) == ('{"x": 1, "x": 2}', {"x": 2})


def test_several_calls_keep_their_order_and_the_text_around_them():
    text = (
        'First.\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>\nThen.\n'
        '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>'
    )
    turn = parse_turn(text, "hermes", 3)
    assert [(call.id, call.name) for call in turn.tool_calls] == [
        ("call_3_0", "f"),
        ("call_3_1", "g"),
    ]
    assert turn.content == "First.\nThen."


@pytest.mark.parametrize(
    ("body", "name", "raw", "problem", "from_there"),
    [
        ('{"name": "f", "arguments": {"x": 1}', "f", '{"x": 1}', "got the end", ""),
        ('{"name": "f", "arguments": {"x": 1', "f", '{"x": 1', "expecting ','", ""),
        ('{"name": "f", "arguments": {x: 1}}', "f", "{x: 1}}", "double quotes", "x: 1}}"),
        ('{"name": "f", "arguments": {"x": NaN}}', "f", '{"x": NaN}}', "number", '{"x": NaN}}'),
        ('{"name": "f", "arguments": {"x": "a}}', "f", '{"x": "a}}', "unterminated", '"a}}'),
        ('{"name": "f", "arguments": {}}}', "f", "{}", "extra text", "}"),
        ('{"name": "f", "arguments": "{}"}', "f", '"{}"', "a string, not an object", '"{}"}'),
        ('{"name": "f", "arguments": null}', "f", "null", "null, not an object", "null}"),
        ('{"name": "f"}', "f", "", 'no "arguments"', "}"),
        ('{"arguments": {}}', "", "{}", 'no "name"', "}"),
        ('{"name": 3, "arguments": {}}', "", "{}", "a number, not a string", '3, "arguments": {}}'),
        ('{"name": "", "arguments": {}}', "", "{}", "empty", '"", "arguments": {}}'),
        ("{'name': 'f'}", "", "", "double quotes", "'name': 'f'}"),
        ("f(x=1)", "", "", "expected a JSON object", "f(x=1)"),
        ("", "", "", "expected a JSON object", ""),
    ],
)
def test_a_malformed_hermes_call_is_data(
    body: str, name: str, raw: str, problem: str, from_there: str
):
    text = f"<tool_call>{body}</tool_call> after"
    turn = parse_turn(text, "hermes", 0)
    call = only_call(turn)
    assert (call.name, call.raw_arguments, call.arguments) == (name, raw, None)
    assert call.problem is not None
    assert problem in call.problem
    assert "\n" not in call.problem
    assert call_text(text, call) == f"<tool_call>{body}</tool_call>"
    assert problem_text(text, call) == f"{from_there}</tool_call>"
    assert turn.content == "after"


def test_a_call_that_only_lacks_its_end_has_an_empty_problem_span_there():
    text = '<tool_call>\n{"name": "f", "arguments": {}}\n'
    call = only_call(parse_turn(text, "hermes", 0))
    assert call.problem == "no </tool_call>"
    assert call.spans is not None
    assert call.spans.problem == Span(len(text), len(text))
    assert call.raw_arguments == "{}"


def test_a_repeated_wrapper_is_one_malformed_call_that_can_still_be_read():
    text = (
        '<tool_call>\n<tool_call>{"name": "f", "arguments": {}}</tool_call>\n</tool_call>'
        "<tool_call>"
    )
    first, second = parse_turn(text, "hermes", 0).tool_calls
    assert (first.name, first.raw_arguments, first.arguments) == ("f", "{}", None)
    assert first.problem == "repeated <tool_call>"
    assert call_text(text, first) == text.removesuffix("<tool_call>")
    assert call_text(text, second) == "<tool_call>"


def test_an_unclosed_call_ends_where_the_next_begins():
    text = (
        '<tool_call>{"name": "f", "arguments": {"x": "a}}\n'
        '<tool_call>{"name": "g", "arguments": {}}</tool_call>'
    )
    first, second = parse_turn(text, "hermes", 0).tool_calls
    assert first.problem is not None
    assert (second.name, second.problem) == ("g", None)


@pytest.mark.parametrize(
    "value", ["[" * 100_000, "1" * 5_000, "1e999", "-Infinity", '"\\ud800"', '"\\u12"', '"a\tb"']
)
def test_values_that_python_chokes_on_are_problems_too(value: str):
    text = f'<tool_call>{{"name": "f", "arguments": {{"x": {value}}}}}</tool_call>'
    call = only_call(parse_turn(text, "hermes", 0))
    assert call.arguments is None
    assert call.problem is not None
    assert call.problem.startswith("invalid JSON")


# --- reasoning -----------------------------------------------------------------------------------


def test_thoughts_are_neither_content_nor_calls():
    text = '<think>\nMaybe <tool_call>{"name"\n</think>\n\nHello.'
    assert parse_turn(text, "hermes", 0) == ParsedTurn("Hello.", 'Maybe <tool_call>{"name"', ())


def test_an_empty_thought_is_no_reasoning():
    assert parse_turn("<think>\n\n</think>\n\nHi", "hermes", 0) == ParsedTurn("Hi", None, ())


def test_a_thought_cut_short_takes_the_rest_of_the_turn():
    assert parse_turn("<think>I wonder", "hermes", 0) == ParsedTurn("", "I wonder", ())


def test_a_thought_that_the_generation_prompt_opened_is_closed_by_the_turn():
    text = "I wonder.\n</think>\n\nHi"
    assert parse_turn(text, "hermes", 0, thinking=True) == ParsedTurn("Hi", "I wonder.", ())
    assert parse_turn(text, "hermes", 0).reasoning is None


def test_a_closing_mark_in_an_argument_closes_nothing():
    text = '<tool_call>{"name": "f", "arguments": {"x": "</think>"}}</tool_call>'
    assert only_call(parse_turn(text, "hermes", 0)).arguments == {"x": "</think>"}


# --- every form ----------------------------------------------------------------------------------

FRAGMENTS = [
    "<tool_call>",
    "</tool_call>",
    "<function=f>",
    "<parameter=x>",
    "</parameter>",
    "</function>",
    "<arg_key>k</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "[CALL_ID]",
    "<|python_tag|>",
    "<think>",
    "</think>",
    '{"name": "f", "arguments": ',
    '{"name": "f", "parameters": {',
    '"x": 1',
    '{"x": "é😀\\""}',
    "}",
    "[",
    "]",
    ",",
    ";",
    "\n",
]

MESSY_TEXT = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=14).map("".join)


@pytest.mark.parametrize("form", FORMS)
@given(text=MESSY_TEXT, thinking=st.booleans())
def test_no_text_makes_a_parser_raise_or_point_outside(form: str, text: str, thinking: bool):
    calls = parse_turn(text, form, 1, [F], thinking=thinking).tool_calls
    end_of_previous = 0
    for index, call in enumerate(calls):
        assert call.id == f"call_1_{index}"
        assert (call.arguments is None) == (call.problem is not None)
        check_spans(text, call, end_of_previous)
        assert call.spans is not None
        end_of_previous = call.spans.call.stop


def check_spans(text: str, call: ToolCall, end_of_previous: int) -> None:
    spans = call.spans
    assert spans is not None
    assert end_of_previous <= spans.call.start < spans.call.stop <= len(text)
    for part in (spans.name, spans.arguments, spans.problem):
        assert part is None or spans.call.start <= part.start <= part.stop <= spans.call.stop
    assert call.raw_arguments == (quoted(text, spans.arguments) or "")
    assert (spans.problem is None) == (call.problem is None)
    assert spans.problem is None or spans.problem.stop == spans.call.stop
    if call.name and "\\" not in text:
        assert quoted(text, spans.name) == call.name


@pytest.mark.parametrize("form", FORMS)
def test_plain_text_is_content_in_every_form(form: str):
    assert parse_turn(" It is 3 pm. ", form, 0) == ParsedTurn("It is 3 pm.", None, ())


@pytest.mark.parametrize(
    ("template", "form"),
    [
        ('{{ \'<tool_call>{"name": "\' }}', "hermes"),
        ("<tool_call><function=x><parameter=y>", "qwen3_coder"),
        ("<tool_call>{{ name }}<arg_key>{{ k }}</arg_key><arg_value>", "glm"),
        ("[AVAILABLE_TOOLS][TOOL_CALLS]", "mistral"),
        ("{{ '{\"name\": \"' + name + '\", ' }}{{ '\"parameters\": ' }}", "llama3_json"),
    ],
)
def test_the_template_tells_the_form(template: str, form: str):
    assert detect_form(template) == form


def test_a_template_without_a_known_form_is_refused_with_the_forms_there_are():
    with pytest.raises(ConfigError, match="mistral, glm, qwen3_coder, hermes, llama3_json"):
        detect_form("{{ messages }}")


def test_an_unknown_form_is_refused_by_name():
    with pytest.raises(ConfigError, match="'hermse'"):
        parse_turn("", "hermse", 0)
