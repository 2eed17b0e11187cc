"""Trajectories and findings survive the disk unchanged, and broken files are named."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentsd import store
from agentsd.errors import DataError
from agentsd.types import (
    CallSpans,
    Finding,
    Message,
    Outcome,
    Span,
    StopReason,
    TokenLog,
    ToolCall,
    ToolResult,
    ToolSpec,
    Trajectory,
)

TEXT = st.text(max_size=20)
FLOAT = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOAT | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
SPAN = st.tuples(st.integers(0, 99), st.integers(0, 99)).map(lambda pair: Span(*sorted(pair)))
SPANS = st.builds(CallSpans, SPAN, *[st.none() | SPAN] * 3)

PARSED = OBJECT.map(lambda value: (json.dumps(value), value))
OTHER = st.tuples(TEXT, st.none() | OBJECT)
CALL = st.builds(
    lambda written, **parts: ToolCall(raw_arguments=written[0], arguments=written[1], **parts),
    PARSED | OTHER,
    id=TEXT,
    name=TEXT,
    problem=st.none() | TEXT,
    spans=st.none() | SPANS,
)
RESULT = st.builds(
    ToolResult,
    TEXT,
    TEXT,
    JSON,
    st.booleans(),
    st.sampled_from([None, "policy", "tool", "timeout", "infra"]),
    st.integers(0),
    FLOAT,
)
MESSAGE = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    TEXT,
    st.lists(CALL, max_size=2).map(tuple),
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | RESULT,
)


@st.composite
def token_logs(draw: st.DrawFn) -> TokenLog:
    """Any log that the type allows."""
    size = draw(st.integers(0, 12))
    ids = draw(st.lists(st.integers(0, 150_000), min_size=size, max_size=size))
    sampled = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    logprob = st.none() | st.floats(max_value=0, allow_nan=False)
    logprobs = draw(st.none() | st.lists(logprob, min_size=size, max_size=size).map(tuple))
    turn = st.tuples(st.integers(0, size), st.integers(0, size)).map(lambda p: Span(*sorted(p)))
    turns = draw(st.lists(turn, max_size=3))
    return TokenLog(tuple(ids), tuple(sampled), logprobs, tuple(turns), draw(st.integers(0, 9)))


TRAJECTORY = st.builds(
    Trajectory,
    TEXT,
    TEXT,
    TEXT,
    st.lists(st.builds(ToolSpec, TEXT, TEXT, OBJECT, st.booleans()), max_size=2).map(tuple),
    st.lists(MESSAGE, max_size=3).map(tuple),
    st.lists(token_logs(), max_size=2).map(tuple),
    st.builds(Outcome, st.none() | FLOAT, TEXT),
    st.sampled_from(StopReason),
    TEXT,
    st.none() | st.integers(),
    st.dictionaries(TEXT, FLOAT, max_size=2),
    st.dictionaries(TEXT, TEXT, max_size=2),
)

CALL_OF_ADD = ToolCall("c0", "add", '{"a": 1,  "b": 2}', {"a": 1, "b": 2})
REPLY = Message("tool", "3", tool_call_id="c0", result=ToolResult("c0", "3", {"sum": 3}))
ADDING = Trajectory(
    id="t0",
    task_id="add",
    env="desk",
    tools=(ToolSpec("add", "Add.", {"type": "object"}, read_only=True),),
    messages=(Message("user", "1 + 2?"), Message("assistant", "", (CALL_OF_ADD,)), REPLY),
    stop_reason=StopReason.DONE,
)
FINDING = Finding(
    trajectory_id="t0",
    turn=0,
    call_index=0,
    field="arguments",
    quote="1",
    char_span=Span(6, 7),
    category="T05",
    severity="minor",
    evidence="nowhere",
    hint="Copy it.",
    confidence=0.5,
    critic="rules",
)


@settings(max_examples=150, deadline=None)
@given(TRAJECTORY)
def test_every_field_survives_a_round_trip(trajectory: Trajectory):
    line = json.dumps(store.trajectory_object(trajectory))
    restored = store.trajectory_from(json.loads(line), "here")
    assert restored == trajectory
    assert repr(restored) == repr(trajectory)
    assert store.content_hash(restored) == store.content_hash(trajectory)


def test_a_file_gives_back_what_was_written(tmp_path: Path):
    path = tmp_path / "deep" / "t.jsonl"
    trajectories = [ADDING, replace(ADDING, id="ä \u2028 \ud83d")]
    assert store.write_trajectories(path, iter(trajectories)) == 2
    assert list(store.read_trajectories(path)) == trajectories


def test_a_folder_is_read_file_by_file_in_name_order(tmp_path: Path):
    for name in ("b", "a"):
        store.write_trajectories(tmp_path / f"{name}.jsonl", [replace(ADDING, id=name)])
    assert [t.id for t in store.read_trajectories(tmp_path)] == ["a", "b"]


def test_nothing_is_stored_twice():
    call, reply = store.trajectory_object(ADDING)["messages"][1:]
    assert "arguments" not in call["tool_calls"][0]
    assert reply["result"] == {"structured": {"sum": 3}}


def test_token_logs_are_stored_as_runs():
    log = TokenLog(
        ids=(5, 6, 7, 8),
        sampled=(False, True, True, False),
        logprobs=(None, -0.5, -1.0, None),
        turns=(Span(0, 3),),
    )
    stored = store.trajectory_object(replace(ADDING, token_logs=(log,)))["token_logs"]
    runs = [{"at": 1, "values": [-0.5, -1.0]}]
    assert stored == [
        {"ids": [5, 6, 7, 8], "sampled": [[1, 3]], "logprobs": runs, "turns": [[0, 3]]}
    ]


def test_not_a_number_in_arguments_is_no_obstacle(tmp_path: Path):
    call = ToolCall("c", "f", "x=nan", {"x": float("nan")})
    odd = replace(ADDING, messages=(Message("assistant", "", (call,)),))
    store.write_trajectories(tmp_path / "t.jsonl", [odd])
    (restored,) = store.read_trajectories(tmp_path / "t.jsonl")
    assert repr(restored) == repr(odd)


@pytest.mark.parametrize("tail", [b'{"format": "agentsd/traj', b"\x00\x00\x00", b'{"id": "t\n'])
def test_a_torn_last_line_is_dropped_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tail: bytes
):
    path = tmp_path / "t.jsonl"
    store.write_trajectories(path, [ADDING])
    path.write_bytes(path.read_bytes() + tail)
    with caplog.at_level(logging.WARNING):
        assert list(store.read_trajectories(path)) == [ADDING]
    assert f"{path}:2: dropped a torn last line" in caplog.text


@pytest.mark.parametrize("tail", [b"", b'{"format": "agentsd/traj', b"torn\n"])
def test_appending_goes_on_after_a_torn_line(tmp_path: Path, tail: bytes):
    path = tmp_path / "t.jsonl"
    with store.appending_trajectories(path, durable=True) as append:
        append(ADDING)
    path.write_bytes(path.read_bytes() + tail)
    with store.appending_trajectories(path) as append:
        append(replace(ADDING, id="t1"))
        assert [t.id for t in store.read_trajectories(path)] == ["t0", "t1"]


def test_a_complete_last_line_without_newline_is_kept(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    store.write_trajectories(path, [ADDING])
    path.write_bytes(path.read_bytes().rstrip())
    assert list(store.read_trajectories(path)) == [ADDING]
    with store.appending_trajectories(path) as append:
        append(ADDING)
    assert list(store.read_trajectories(path)) == [ADDING, ADDING]


def test_a_torn_line_longer_than_a_block_is_cut_off_whole(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    store.write_trajectories(path, [ADDING])
    path.write_bytes(path.read_bytes() + b'{"id": "' + b"x" * 200_000)
    with store.appending_trajectories(path) as append:
        append(ADDING)
    assert list(store.read_trajectories(path)) == [ADDING, ADDING]


def test_broken_json_in_the_middle_names_file_and_line(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    store.write_trajectories(path, [ADDING])
    path.write_bytes(b"{torn\n" + path.read_bytes())
    with pytest.raises(DataError, match=r"t\.jsonl:1: not JSON"):
        list(store.read_trajectories(path))


def _with(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    value = json.loads(json.dumps(store.trajectory_object(ADDING)))
    change(value)
    return value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(colour="red"), "colour: Extra inputs are not permitted"),
        (lambda v: v["messages"][0].update(nmae="x"), r"messages\.0\.nmae: Extra inputs"),
        (lambda v: v["messages"][0].update(content=1), r"messages\.0\.content: .*valid string"),
        (lambda v: v.pop("task_id"), "task_id: Field required"),
        (lambda v: v.update(stop_reason="bored"), "'bored' is not a valid StopReason"),
        (lambda v: v.update(format="agentsd/trajectory/2"), "format: Input should be"),
        (
            lambda v: v.update(token_logs=[{"ids": [1], "sampled": [[0, 2]], "turns": []}]),
            "a run of 2 at 0 leaves the 1 tokens",
        ),
        (
            lambda v: v.update(token_logs=[{"ids": [1], "sampled": [], "turns": [[1, 0]]}]),
            r"turns\.0: .*reversed",
        ),
    ],
)
def test_what_is_no_trajectory_is_refused_by_file_line_and_key(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(_with(change)) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"t\.jsonl:1: .*{message}"):
        list(store.read_trajectories(path))


def test_a_missing_file_is_one_clear_line(tmp_path: Path):
    with pytest.raises(DataError, match=r"cannot read .*none\.jsonl: No such file"):
        list(store.read_trajectories(tmp_path / "none.jsonl"))


def test_what_json_cannot_hold_is_refused_and_the_old_file_stays(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    store.write_trajectories(path, [ADDING])
    result = ToolResult("c0", "3", structured={1, 2})
    odd = replace(ADDING, messages=(replace(REPLY, result=result),))
    with pytest.raises(DataError, match="cannot be written as JSON"):
        store.write_trajectories(path, [odd])
    assert list(store.read_trajectories(path)) == [ADDING]
    assert [file.name for file in tmp_path.iterdir()] == ["t.jsonl"]


def test_findings_survive_a_round_trip(tmp_path: Path):
    path = tmp_path / "f.jsonl"
    on_message = replace(FINDING, call_index=None, field="content", char_span=None, category="X1")
    assert store.write_findings(path, [(ADDING, [FINDING, on_message])]) == 2
    hashes = {ADDING.id: store.content_hash(ADDING)}
    assert list(store.read_findings(path, hashes)) == [FINDING, on_message]
    with store.appending_findings(path) as append:
        append(ADDING, [FINDING])
        assert len(list(store.read_findings(path))) == 3


def test_a_findings_line_has_the_promised_keys(tmp_path: Path):
    path = tmp_path / "f.jsonl"
    store.write_findings(path, [(ADDING, [FINDING])])
    promised = {"trajectory_id", "turn", "call_index", "category", "quote", "hint", "critic"}
    assert promised <= json.loads(path.read_text(encoding="utf-8")).keys()


def test_findings_on_a_trajectory_that_has_changed_are_refused(tmp_path: Path):
    path = tmp_path / "f.jsonl"
    store.write_findings(path, [(ADDING, [FINDING])])
    changed = replace(ADDING, seed=1)
    with pytest.raises(DataError, match=r"f\.jsonl:1: trajectory t0 has changed"):
        list(store.read_findings(path, {"t0": store.content_hash(changed)}))
    assert list(store.read_findings(path, {"t1": "of another"})) == [FINDING]


FULL_DISK = """
import resource, sys
from pathlib import Path
from agentsd.errors import StorageError
from agentsd.jsonl import appending

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
with appending(Path(sys.argv[1])) as write:
    try:
        for number in range(100):
            write({"number": number, "pad": "x" * 10})
    except StorageError as error:
        print(error)
"""


def test_a_line_for_which_there_is_no_room_leaves_nothing_and_keeps_the_lines_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    assert f"cannot write {path}" in done.stdout
    # {"number":0,"pad":"xxxxxxxxxx"} and its newline are 32 bytes: three lines fit into 100.
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [0, 1, 2]
    assert path.stat().st_size == 96
