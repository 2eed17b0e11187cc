"""Trajectories of other programs are recognised by content and read without loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentsd import store
from agentsd.errors import ConfigError, DataError
from agentsd.formats import json_values, read_any
from agentsd.formats.tools_file import read_tools
from agentsd.types import Message, StopReason, ToolResult, ToolSpec, Trajectory

ADD = {
    "name": "add",
    "description": "Add two integers.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
}


def asked(*calls: tuple[str, str, str]) -> dict[str, Any]:
    """An assistant message with (id, name, arguments) calls."""
    made = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id_, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def told(id_: str, content: str) -> dict[str, Any]:
    """A tool message."""
    return {"role": "tool", "tool_call_id": id_, "content": content}


def saved(path: Path, *rows: object) -> Path:
    """The rows as JSON Lines."""
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def read_one(path: Path, messages: list[dict[str, Any]], **row: object) -> Trajectory:
    """The conversation as it comes back from a chat file."""
    (trajectory,) = read_any(saved(path / "chat.jsonl", {"messages": messages, **row}))
    return trajectory


def test_tau_bench_runs_keep_every_message_call_and_reward(shared_data: Path):
    source = shared_data / "tau_airline_gpt4o.json"
    tools = read_tools(shared_data / "tau_airline_tools.json")
    runs = json.loads(source.read_text(encoding="utf-8"))
    trajectories = list(read_any(source, tools=tools))
    assert len(trajectories) == len({t.id for t in trajectories}) == 100
    assert {t.stop_reason for t in trajectories} == {StopReason.IMPORTED}
    for run, trajectory in zip(runs, trajectories, strict=True):
        assert trajectory.id == f"{run['task_id']}/{run['trial']}"
        assert trajectory.outcome.score == run["reward"]
        assert trajectory.tools == tools
        for was, message in zip(run["traj"], trajectory.messages, strict=True):
            assert (was["role"], was["content"] or "") == (message.role, message.content)
            assert was.get("tool_call_id") == message.tool_call_id
            written = [call["function"] for call in was.get("tool_calls") or []]
            calls = [{"name": c.name, "arguments": c.raw_arguments} for c in message.tool_calls]
            assert calls == [{"name": w["name"], "arguments": w["arguments"]} for w in written]


def test_tau_bench_calls_meet_the_result_right_behind_them(shared_data: Path):
    """The README of the data counts 621 calls, 63 of which were answered by ``Error``."""
    trajectories = list(read_any(shared_data / "tau_airline_gpt4o.json"))
    turns = [turn for trajectory in trajectories for turn in trajectory.turns()]
    results = [t.result_of(i) for t in turns for i in range(len(t.message.tool_calls))]
    errors = [m.result for m in results if m is not None and m.result and m.result.is_error]
    assert len(results) == 621
    assert None not in results
    assert len(errors) == 63
    assert {error.error_class for error in errors} == {"tool"}


def test_tau_bench_survives_the_way_through_the_store(shared_data: Path, tmp_path: Path):
    trajectories = list(read_any(shared_data / "tau_airline_gpt4o.json"))
    store.write_trajectories(tmp_path / "t.jsonl", trajectories)
    assert list(read_any(tmp_path / "t.jsonl")) == trajectories


def test_a_reward_that_is_missing_is_unscored_not_zero(tmp_path: Path):
    run = {"task_id": 3, "trial": 1, "traj": [{"role": "user", "content": "Hi"}]}
    (trajectory,) = read_any(saved(tmp_path / "run.json", run))
    assert (trajectory.id, trajectory.outcome.score) == ("3/1", None)


def test_a_chat_row_keeps_what_it_says(tmp_path: Path):
    reply = {"role": "assistant", "content": "3", "reasoning_content": "1 + 2"}
    messages = [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}, reply]
    trajectory = read_one(tmp_path, messages, id="r1", task_id="sum", tools=[ADD])
    assert (trajectory.id, trajectory.task_id, trajectory.env) == ("r1", "sum", "chat")
    assert trajectory.messages == (
        Message("system", "Be brief."),
        Message("assistant", "3", reasoning="1 + 2"),
    )
    assert trajectory.tools == (ToolSpec("add", "Add two integers.", ADD["parameters"]),)


def test_a_row_without_id_is_named_after_its_place(tmp_path: Path):
    row = {"messages": []}
    assert [t.id for t in read_any(saved(tmp_path / "log.jsonl", row, row))] == ["log/0", "log/1"]


def test_tools_kept_as_text_are_read(tmp_path: Path):
    assert read_one(tmp_path, [], tools=json.dumps([ADD])).tools[0].name == "add"


def test_a_rows_own_tools_come_before_those_given(tmp_path: Path):
    own, given = [ADD], (ToolSpec("other", "", {"type": "object"}),)
    path = saved(tmp_path / "c.jsonl", {"messages": [], "tools": own}, {"messages": []})
    assert [t.tools[0].name for t in read_any(path, tools=given)] == ["add", "other"]


@pytest.mark.parametrize(
    ("raw", "arguments", "problem"),
    [
        ('{"a": 1, "a":2}', {"a": 2}, None),
        ("", {}, None),
        ('{"a": 1', None, "not JSON"),
        ('{"a": NaN}', None, "not JSON"),
        ("[1]", None, "not an object but list"),
    ],
)
def test_raw_arguments_are_kept_and_parsed_where_they_parse(
    tmp_path: Path, raw: str, arguments: dict[str, Any] | None, problem: str | None
):
    (message,) = read_one(tmp_path, [asked(("c", "add", raw))]).messages
    (call,) = message.tool_calls
    assert (call.raw_arguments, call.arguments) == (raw, arguments)
    assert call.problem is None if problem is None else problem in (call.problem or "")


def test_arguments_stored_as_an_object_are_written_out(tmp_path: Path):
    message = asked(("c", "add", ""))
    message["tool_calls"][0]["function"]["arguments"] = {"a": "é"}
    (call,) = read_one(tmp_path, [message]).messages[0].tool_calls
    assert (call.raw_arguments, call.arguments) == ('{"a": "é"}', {"a": "é"})


def test_results_in_another_order_go_to_their_calls(tmp_path: Path):
    calls = asked(("x", "add", "{}"), ("y", "add", "{}"))
    turns = read_one(tmp_path, [calls, told("y", "second"), told("x", "first")]).turns()
    assert [message.content for message in turns[0].results] == ["first", "second"]


def test_a_call_without_result_does_not_take_its_neighbours(tmp_path: Path):
    calls = asked(("x", "add", "{}"), ("y", "add", "{}"))
    (turn,) = read_one(tmp_path, [calls, told("y", "second")]).turns()
    missing, answered = turn.results
    assert answered.content == "second"
    assert missing.result == ToolResult("x", "", is_error=True, error_class="infra")


def test_results_with_the_same_id_stay_in_order(tmp_path: Path):
    calls = asked(("x", "add", "{}"), ("x", "add", "{}"))
    (turn,) = read_one(tmp_path, [calls, told("x", "1"), told("x", "2")]).turns()
    assert [message.content for message in turn.results] == ["1", "2"]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([{"role": "judge", "content": ""}], "value 0: message 0: unknown role 'judge'"),
        (["hello"], "value 0: message 0: expected an object with a role"),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            "message 0: content part of type image_url",
        ),
        ([{"role": "assistant", "tool_calls": ["x"]}], "message 0: call 0: expected an object"),
    ],
)
def test_a_message_that_cannot_be_read_is_named(
    tmp_path: Path, messages: list[Any], complaint: str
):
    with pytest.raises(DataError, match=complaint):
        read_one(tmp_path, messages)


@pytest.mark.parametrize("text", ["", "[]", "[1, 2]", '{"rows": 3}', '"text"'])
def test_a_file_in_no_known_format_is_refused(tmp_path: Path, text: str):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.json: in no known format; expected one of: agentsd"):
        read_any(tmp_path / "x.json")


@pytest.mark.parametrize("text", ["hello", '{"messages": ['])
def test_a_file_that_is_not_json_is_refused(tmp_path: Path, text: str):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.json: value 0: not JSON at line 1"):
        read_any(tmp_path / "x.json")


def test_bytes_that_are_not_text_are_refused(tmp_path: Path):
    (tmp_path / "x.json").write_bytes(b'{"messages": "\xff"}')
    with pytest.raises(DataError, match="not UTF-8"):
        read_any(tmp_path / "x.json")


def test_an_array_that_is_cut_off_is_refused(tmp_path: Path):
    (tmp_path / "x.json").write_text('[{"messages": []}', encoding="utf-8")
    with pytest.raises(DataError, match="cut off after value 0"):
        list(read_any(tmp_path / "x.json"))


def test_an_unknown_format_name_lists_the_known(tmp_path: Path):
    with pytest.raises(ConfigError, match="use auto or one of: agentsd, tau-bench, chat"):
        read_any(tmp_path / "x.json", "sharegpt")


def test_tools_are_refused_for_files_that_record_them(tmp_path: Path):
    with pytest.raises(ConfigError, match="records its own tools"):
        read_any(tmp_path, "agentsd", (ToolSpec("a", "", {}),))


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "text", ['[123, {"a": "]"}, [2] ]', '123\n{"a": "]"}\n\n[2]', '\ufeff[123,{"a":"]"},[2]]\n']
)
def test_values_are_the_same_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, text: str
):
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    monkeypatch.setattr(json_values, "BLOCK", block)
    values = [value for _, value in json_values.read_values(tmp_path / "x.json")]
    assert values == [123, {"a": "]"}, [2]]


def test_tools_are_read_in_every_dialect(tmp_path: Path):
    schema = ADD["parameters"]
    mcp = {"name": "b", "inputSchema": schema, "annotations": {"readOnlyHint": True}}
    rows = [{"type": "function", "function": ADD}, mcp, {"name": "c", "input_schema": schema}]
    expected = (
        ToolSpec("add", "Add two integers.", schema),
        ToolSpec("b", "", schema, read_only=True),
        ToolSpec("c", "", schema),
    )
    path = tmp_path / "tools.json"
    for content in (rows, {"tools": rows}):
        path.write_text(json.dumps(content), encoding="utf-8")
        assert read_tools(path) == expected
    assert read_tools(saved(path, *rows)) == expected


@pytest.mark.parametrize(
    ("tools", "complaint"),
    [
        ([{"description": "nameless"}], "tool 0: no name"),
        ([ADD, ADD], "tool add is defined twice"),
        ([{"name": "a", "parameters": {"type": "nonsense"}}], "tool 0: tool a: the input schema"),
        ([{"name": "a", "parameters": []}], "tool 0: the schema of a is not a JSON object"),
    ],
)
def test_a_tool_that_cannot_be_used_is_named(tmp_path: Path, tools: list[Any], complaint: str):
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(tools), encoding="utf-8")
    with pytest.raises(DataError, match=rf"tools\.json: {complaint}"):
        read_tools(path)
