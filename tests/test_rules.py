"""The rules critic finds what can be seen without a model, at the exact characters, and no more."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsd.errors import ConfigError
from agentsd.formats import read_any
from agentsd.formats.tools_file import read_tools
from agentsd.review import ReviewCounts, review_file
from agentsd.types import (
    CallSpans,
    ErrorClass,
    Finding,
    Message,
    Span,
    StopReason,
    ToolCall,
    ToolResult,
    ToolSpec,
    Trajectory,
)
from agentsd_critics import wording
from agentsd_critics.rules import critic

pytestmark = pytest.mark.anyio


def tool(name: str, *required: str, read_only: bool = False, **properties: Any) -> ToolSpec:
    """A tool that takes no other arguments."""
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return ToolSpec(name, f"Do {name}.", schema | {"required": list(required)}, read_only)


TEXT = {"type": "string"}
DAY = {"type": "string", "enum": ["mon", "tue"]}
SLOTS = {
    "type": "array",
    "items": {"type": "object", "properties": {"hour": TEXT}, "required": ["hour"]},
}
TOOLS = (
    tool("find_contact", "person", person=TEXT, read_only=True),
    tool("send_message", "to", "text", to=TEXT, text=TEXT, copies={"type": "integer"}),
    tool("add_event", "day", day=DAY, hour={"type": "integer"}, slots=SLOTS),
    tool("wait"),
)
ASK = Message("user", "Tell Mia about room 417.")


def call(name: str, raw: str = "{}", **parts: Any) -> ToolCall:
    """A well-formed call whose arguments are written as ``raw``."""
    return ToolCall("c", name, raw, json.loads(raw), **parts)


def asks(*calls: ToolCall, say: str = "") -> Message:
    """An assistant message."""
    return Message("assistant", say, calls)


def gives(content: str, fault: ErrorClass | None = None) -> Message:
    """A tool message; with ``fault`` it is an error."""
    result = ToolResult("c", content, is_error=fault is not None, error_class=fault)
    return Message("tool", content, tool_call_id="c", result=result)


def episode(*messages: Message, tools: tuple[ToolSpec, ...] = TOOLS, **parts: Any) -> Trajectory:
    """A trajectory that begins with ``ASK``."""
    return Trajectory("t", "task", "desk", tools, (ASK, *messages), **parts)


async def found(*messages: Message, **parts: Any) -> Sequence[Finding]:
    """What the critic says about an episode."""
    return await critic().review(episode(*messages, **parts))


async def the_finding(*messages: Message, **parts: Any) -> Finding:
    """The only thing that the critic says about an episode."""
    (finding,) = await found(*messages, **parts)
    return finding


def marked(finding: Finding, text: str) -> str:
    """The characters of ``text`` that a finding is about; they are its quote."""
    assert finding.char_span is not None
    part = text[finding.char_span.start : finding.char_span.stop]
    assert part == finding.quote
    return part


async def test_a_correct_episode_has_no_findings():
    assert not await found(
        asks(call("find_contact", '{"person": "Mia"}')),
        gives("c-214"),
        asks(call("send_message", '{"to": "c-214", "text": "room 417"}')),
        gives("sent"),
        asks(say="Done."),
    )


async def test_t01_marks_the_name_and_lists_the_tools():
    finding = await the_finding(asks(call("send_email")), gives("Error: unknown tool", "policy"))
    assert (finding.category, finding.field, finding.severity) == ("T01", "name", "critical")
    assert marked(finding, "send_email") == "send_email"
    assert finding.hint == "Available tools: add_event, find_contact, send_message, wait."


async def test_without_a_recorded_offer_no_tool_is_unknown():
    assert not await found(asks(call("send_email")), gives("sent"), tools=())


async def test_t02_marks_an_imported_call_from_the_first_bad_character():
    raw = '{"day": mon}'
    broken = ToolCall("c", "add_event", raw, problem="not JSON")
    finding = await the_finding(asks(broken))
    assert (finding.category, finding.field) == ("T02", "arguments")
    assert marked(finding, raw) == "mon}"


async def test_t02_of_arguments_that_are_cut_off_marks_all_of_them():
    finding = await the_finding(asks(ToolCall("c", "wait", '{"a": 1', problem="not JSON")))
    assert (finding.field, finding.char_span, finding.quote) == ("arguments", None, '{"a": 1')


async def test_t02_counts_characters_from_the_start_of_a_recorded_call():
    """The turn is ``Ok <tool_call>{"name":"wait","arguments":{"a":}}</tool_call>``."""
    call_span, arguments, problem = Span(3, 61), Span(41, 47), Span(46, 61)
    spans = CallSpans(call_span, name=Span(23, 27), arguments=arguments, problem=problem)
    broken = ToolCall("c", "wait", '{"a":}', problem="not JSON", spans=spans)
    finding = await the_finding(asks(broken))
    assert (finding.field, finding.quote, finding.char_span) == ("call", "}", Span(43, 58))


async def test_t02_quotes_nothing_where_the_bad_characters_stand_behind_the_arguments():
    spans = CallSpans(Span(0, 40), arguments=Span(10, 12), problem=Span(13, 40))
    finding = await the_finding(asks(ToolCall("c", "wait", "{}", problem="odd", spans=spans)))
    assert (finding.field, finding.quote, finding.char_span) == ("call", "", Span(13, 40))


async def test_t02_of_a_call_that_merely_ends_too_early_is_about_all_of_it():
    spans = CallSpans(Span(0, 20), problem=Span(20, 20))
    finding = await the_finding(asks(ToolCall("c", "", "", problem="cut off", spans=spans)))
    assert (finding.category, finding.field, finding.char_span) == ("T02", "call", None)


async def test_t03_marks_the_closing_brace():
    raw = '{"to": "Mia"} '
    finding = await the_finding(asks(call("send_message", raw)))
    assert (finding.category, finding.field) == ("T03", "arguments")
    assert (marked(finding, raw), finding.char_span) == ("}", Span(12, 13))
    assert finding.hint == wording.missing_argument("send_message", "text")


async def test_t03_inside_a_list_marks_the_brace_of_the_object_that_lacks_it():
    raw = '{"day": "mon", "slots": [{"hour": "a"}, {}]}'
    finding = await the_finding(asks(call("add_event", raw)))
    assert (finding.category, finding.char_span) == ("T03", Span(41, 42))


async def test_t04_marks_an_unexpected_key_without_its_quotes():
    raw = '{"day": "mon", "date": "mon"}'
    finding = await the_finding(asks(call("add_event", raw)))
    assert finding.category == "T04"
    assert (marked(finding, raw), finding.char_span) == ("date", Span(16, 20))
    assert finding.hint == "add_event takes only these arguments: day, hour, slots."


async def test_t04_of_a_tool_without_arguments_says_so():
    finding = await the_finding(asks(call("wait", '{"seconds": 3}')))
    assert finding.hint == "wait takes no arguments."


async def test_t04_marks_a_value_outside_its_enum_without_its_quotes():
    raw = '{"day": "Monday"}'
    finding = await the_finding(asks(call("add_event", raw)))
    assert (finding.category, marked(finding, raw)) == ("T04", "Monday")
    assert finding.hint == "In add_event, day must be one of: mon, tue."


async def test_t04_marks_the_quotes_of_a_string_that_should_be_a_number():
    raw = '{"day": "mon", "hour": "9"}'
    finding = await the_finding(asks(call("add_event", raw)))
    assert (finding.category, marked(finding, raw)) == ("T04", '"9"')


async def test_t04_in_arguments_that_are_not_json_finds_the_value_by_its_text():
    raw = "<parameter=day>\nMonday\n</parameter>"
    xml = ToolCall("c", "add_event", raw, {"day": "Monday"})
    assert marked(await the_finding(asks(xml)), raw) == "Monday"


async def test_t04_marks_all_arguments_where_the_value_stands_twice():
    raw = "<parameter=day>\nday\n</parameter>"
    finding = await the_finding(asks(ToolCall("c", "add_event", raw, {"day": "day"})))
    assert (finding.category, finding.char_span, finding.quote) == ("T04", None, raw)


async def test_a_schema_that_is_none_accuses_nobody():
    broken = ToolSpec("go", "", {"type": "object", "properties": {"a": {"type": "nonsense"}}})
    assert not await found(asks(call("go", '{"a": 1}')), gives("gone"), tools=(broken,))


async def test_t05_marks_a_made_up_id_and_explains_the_refusal():
    raw = '{"to": "c-100", "text": "room 417"}'
    refusal = gives("Error: no contact c-100", "tool")
    finding = await the_finding(asks(call("send_message", raw)), refusal)
    assert (finding.category, finding.severity) == ("T05", "critical")
    assert (marked(finding, raw), finding.char_span) == ("c-100", Span(8, 13))
    assert finding.hint == wording.ungrounded_value("send_message", "to")


async def test_t05_is_a_mere_suspicion_where_the_call_worked():
    raw = '{"to": "c-100", "text": "hello"}'
    finding = await the_finding(asks(call("send_message", raw)), gives("sent"))
    assert (finding.category, finding.severity, finding.confidence) == ("T05", "minor", 0.4)


async def test_t05_a_refusal_that_repeats_the_made_up_id_does_not_ground_it():
    made_up = asks(call("send_message", '{"to": "c-100", "text": "hello"}'))
    refusal = gives("Error: no contact c-100", "tool")
    categories = Counter(f.category for f in await found(made_up, refusal, made_up, refusal))
    assert categories == {"T05": 2, "T10": 1}


async def test_t05_a_refusal_that_names_another_id_grounds_that_one():
    refusal = gives("Error: no contact c-100, the nearest is c-214", "tool")
    first = asks(call("send_message", '{"to": "c-100", "text": "a"}'))
    second = asks(call("send_message", '{"to": "c-214", "text": "a"}'))
    assert [f.turn for f in await found(first, refusal, second, gives("sent"))] == [0]


async def test_t05_an_id_that_stands_only_in_the_call_before_in_the_same_turn_is_not_grounded():
    lookup = call("find_contact", '{"person": "Mia"}')
    send = call("send_message", '{"to": "c-214", "text": "a"}')
    finding = await the_finding(asks(lookup, send), gives("c-214"), gives("sent"))
    assert (finding.category, finding.call_index) == ("T05", 1)


@pytest.mark.parametrize(
    "value", ["Mia", "two words 99", "2024-05-20", "9:30", "12", "50%", "1,250.75", "utf-8", "2026"]
)
async def test_t05_leaves_words_dates_and_quantities_alone(value: str):
    raw = json.dumps({"to": value, "text": "hello"})
    assert not await found(asks(call("send_message", raw)), gives("sent"))


@pytest.mark.parametrize("value", ["mia@example.org", "W4776164", "#12345", "user_7", "48213"])
async def test_t05_takes_addresses_numbers_and_codes_for_ids(value: str):
    raw = json.dumps({"to": value, "text": "hello"})
    finding = await the_finding(asks(call("send_message", raw)), gives("sent"))
    assert (finding.category, finding.quote) == ("T05", value)
    told = Message("user", f"Write to <{value.upper()}>.")
    assert not await found(told, asks(call("send_message", raw)), gives("sent"))


async def test_t05_of_a_new_path_depends_on_whether_it_worked():
    open_file = ToolSpec("open", "Open a file.", {"type": "object"})
    message = asks(call("open", '{"path": "src/main.py"}'))
    assert not await found(message, gives("ok"), tools=(open_file,))
    finding = await the_finding(message, gives("Error: no such file", "tool"), tools=(open_file,))
    assert (finding.category, finding.quote) == ("T05", "src/main.py")
    listed = (asks(call("list_files")), gives("main.py"))
    finding = await the_finding(*listed, message, gives("Error: locked", "tool"), tools=())
    assert finding.category == "T08"


async def test_t08_is_about_the_whole_call():
    raw = '{"person": "Zoe"}'
    refusal = gives("Error: nobody called Zoe", "tool")
    finding = await the_finding(asks(call("find_contact", raw)), refusal)
    assert (finding.category, finding.field, finding.char_span) == ("T08", "call", None)
    assert (finding.quote, finding.severity) == (raw, "minor")
    assert "nobody called Zoe" in finding.evidence


async def test_t08_sees_errors_that_only_the_text_tells():
    text = Message("tool", "Error: nobody called Zoe", tool_call_id="c")
    finding = await the_finding(asks(call("find_contact", '{"person": "Zoe"}')), text)
    assert finding.category == "T08"


async def test_the_error_pattern_can_be_changed():
    run = episode(asks(call("wait")), gives("Exit code 1"), asks(say="Done."))
    assert not await critic().review(run)
    (finding, *_) = await critic(error_pattern="Exit code [1-9]").review(run)
    assert finding.category == "T08"


async def test_t10_marks_the_same_call_with_the_same_result():
    first, second = '{"person": "Mia"}', '{ "person":"Mia" }'
    finding = await the_finding(
        asks(call("find_contact", first)),
        gives("c-214"),
        asks(call("find_contact", second)),
        gives("c-214"),
    )
    assert (finding.category, finding.turn, finding.quote) == ("T10", 1, second)
    assert finding.hint == wording.repeated_call()


async def test_t10_allows_the_same_call_after_a_write():
    look = asks(call("find_contact", '{"person": "Mia"}'))
    write = asks(call("wait"))
    assert not await found(look, gives("c-214"), write, gives("ok"), look, gives("c-214"))


async def test_t10_a_write_that_failed_has_changed_nothing():
    look = asks(call("find_contact", '{"person": "Mia"}'))
    failed = gives("Error: not now", "tool")
    findings = await found(look, gives("c-1"), asks(call("wait")), failed, look, gives("c-1"))
    assert [(f.turn, f.category) for f in findings] == [(1, "T08"), (2, "T10")]


async def test_t10_allows_polling_that_brings_something_new():
    poll = asks(call("get_status"))
    assert not await found(poll, gives("running"), poll, gives("done"), tools=())


async def test_t10_allows_another_try_after_a_timeout():
    poll = asks(call("get_status"))
    slow = gives("timed out", "timeout")
    assert [f.category for f in await found(poll, slow, poll, gives("x"), tools=())] == ["X3"]


async def test_t10_catches_the_same_refused_call_made_again():
    look = asks(call("find_contact", '{"person": "Zoe"}'))
    refusal = gives("Error: nobody called Zoe", "tool")
    findings = await found(look, refusal, look, refusal)
    assert [(f.turn, f.category) for f in findings] == [(0, "T08"), (1, "T08"), (1, "T10")]


async def test_t11_marks_a_write_that_goes_on_after_an_error():
    fails = asks(call("find_contact", '{"person": "Zoe"}'))
    goes_on = asks(call("add_event", '{"day": "mon"}'))
    findings = await found(fails, gives("Error: nobody", "tool"), goes_on, gives("added"))
    assert [(f.turn, f.category) for f in findings] == [(0, "T08"), (1, "T11")]
    assert (findings[1].field, findings[1].quote) == ("call", '{"day": "mon"}')


async def test_t11_marks_the_first_sentence_that_claims_success():
    fails, refusal = asks(call("wait")), gives("Error: no", "tool")
    findings = await found(fails, refusal, asks(say="\nI've sent it. Anything else?"))
    assert [f.category for f in findings] == ["T08", "T11"]
    assert (findings[1].field, findings[1].call_index) == ("content", None)
    assert marked(findings[1], "\nI've sent it. Anything else?") == "I've sent it."


@pytest.mark.parametrize(
    "reaction",
    [
        asks(say="Unfortunately that did not work, so the task is not done."),
        asks(say="Which Zoe is it?"),
        asks(call("wait")),
        asks(call("find_contact", '{"person": "Ann"}')),
        asks(call("add_event", '{"day": "mon"}'), say="There is an issue, I book it meanwhile."),
    ],
    ids=["says so", "asks back", "tries again", "looks up", "says so and goes on"],
)
async def test_t11_accepts_every_sign_of_notice(reaction: Message):
    findings = await found(asks(call("wait")), gives("Error: no", "tool"), reaction)
    assert "T11" not in {f.category for f in findings}


async def test_t11_accepts_a_call_of_a_real_tool_after_one_of_no_tool():
    unknown, right = asks(call("book_event")), asks(call("add_event", '{"day": "mon"}'))
    finding = await the_finding(unknown, gives("Error: unknown tool", "policy"), right)
    assert finding.category == "T01"


async def test_t11_accepts_an_error_that_is_put_off():
    fails, other = asks(call("wait")), asks(call("add_event", '{"day": "mon"}'))
    refusal = gives("Error: not now", "tool")
    finding = await the_finding(fails, refusal, other, gives("ok"), fails, gives("ok"))
    assert finding.category == "T08"


async def test_t11_is_silent_where_the_user_spoke_in_between():
    user = Message("user", "Never mind, book it.")
    other = asks(call("add_event", '{"day": "mon"}'))
    finding = await the_finding(asks(call("wait")), gives("Error: no", "tool"), user, other)
    assert finding.category == "T08"


async def test_x2_clears_the_call_of_everything():
    dead = asks(call("no_such_tool", '{"to": "c-999"}'))
    finding = await the_finding(dead, gives("Error: sandbox died", "infra"), asks(say="Done."))
    assert (finding.category, finding.hint, finding.is_abstention) == ("X2", "", True)


async def test_x2_clears_a_call_that_the_harness_cut_off():
    finding = await the_finding(asks(call("no_such_tool")), stop_reason=StopReason.TIMEOUT)
    assert finding.category == "X2"


async def test_x3_stands_where_a_timeout_may_be_anybodys_fault():
    finding = await the_finding(asks(call("wait")), gives("timed out", "timeout"))
    assert (finding.category, finding.hint) == ("X3", "")


async def test_the_most_severe_finding_of_a_call_comes_first():
    raw = '{"to": "c-999", "text": "a", "copies": "2"}'
    findings = await found(asks(call("send_message", raw)), gives("sent"))
    assert [(f.category, f.severity) for f in findings] == [("T04", "critical"), ("T05", "minor")]


async def test_only_the_chosen_categories_are_reported():
    run = episode(asks(call("nope")), asks(call("wait", '{"a": 1}')))
    findings = await critic(categories=["T01"]).review(run)
    assert [f.category for f in findings] == ["T01"]


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="rules: cannot find T06; use any of: T01"):
        critic(categories=["T06"])
    with pytest.raises(ConfigError, match="rules: error_pattern"):
        critic(error_pattern="(")


ODD = st.sampled_from(["", "{}", '{"a": "c-1"}', '{"a": "²"}', "[" * 500 + "]" * 500, "\ud83d"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ODD, ODD, st.booleans(), st.booleans()), max_size=4))
async def test_odd_trajectories_never_raise(rows: list[tuple[str, str, bool, bool]]):
    messages: list[Message] = []
    for name, raw, parses, answered in rows:
        arguments = {"a": raw, "b": [[math.nan]]} if parses else None
        messages.append(asks(ToolCall("", name, raw, arguments), say=raw))
        messages += [Message("tool", name)] * (2 * answered)
    for finding in await found(*messages):
        assert finding.evidence


async def test_deeply_nested_arguments_never_raise():
    raw = '{"a": ' * 900 + '"c-100"' + "}" * 900
    assert await found(asks(call("deep", raw)), gives("ok"), asks(call("deep", raw)), tools=())


async def test_tau_bench_airline_has_the_known_errors_and_no_broken_call(
    shared_data: Path, tmp_path: Path
):
    """63 errors; two of them have a made-up payment id, the others are plain refusals."""
    source = shared_data / "tau_airline_gpt4o.json"
    tools = read_tools(shared_data / "tau_airline_tools.json")
    counts = await review_file(source, [critic()], tmp_path / "f.jsonl", tools=tools)
    findings = {"T05": 2, "T08": 61, "T10": 25}
    assert counts == ReviewCounts(100, calls=621, error_results=63, findings=findings)


async def test_tau_bench_airline_every_error_is_found_at_its_call(shared_data: Path):
    rules = critic(categories=["T05", "T08"])
    for run in read_any(shared_data / "tau_airline_gpt4o.json"):
        results = [(turn.index, turn.result_of(0)) for turn in run.turns()]
        errors = [at for at, m in results if m is not None and m.content.startswith("Error")]
        assert [finding.turn for finding in await rules.review(run)] == errors
