"""From findings to branches: exact tokens, the right place for the hint, or a rejection."""

from __future__ import annotations

from dataclasses import replace

from agentsd.chat import Chat
from agentsd.sampling import Completion
from agentsd.selection import first_of_each_call, select
from agentsd.tokenlog import LogBuilder
from agentsd.types import Finding, Message, Span, ToolSpec, Trajectory

TOOLS = (ToolSpec("add", "Add.", {"type": "object", "properties": {"a": {"type": "integer"}}}),)
TEXT = '<tool_call>\n{"name": "sum_numbers", "arguments": {"a": 41}}\n</tool_call>'


def trajectory_of(chat: Chat, texts: list[str]) -> Trajectory:
    """A conversation in which the policy says ``texts``, each call answered by 'ok'."""
    messages = [Message("user", "Add 41.")]
    log = LogBuilder()
    log.add_prompt(chat.open(messages, TOOLS))
    for turn, text in enumerate(texts):
        ids = (*chat.template.encode(text), chat.stop_ids[0])
        log.add_turn(chat.header(), Completion(ids, (0.0,) * len(ids), "stop", "0"))
        parsed = chat.read(ids, turn, TOOLS)
        messages.append(Message("assistant", parsed.content, parsed.tool_calls))
        results = [Message("tool", "ok", tool_call_id=call.id) for call in parsed.tool_calls]
        messages.extend(results)
        if results:
            log.add_prompt(chat.suffix(True, results, parsed.tool_calls, TOOLS))
    return Trajectory("t", "t", "toy", TOOLS, tuple(messages), (log.log(),))


def finding(**changes: object) -> Finding:
    base = Finding(
        trajectory_id="t",
        turn=0,
        call_index=0,
        field="name",
        quote="sum_numbers",
        char_span=None,
        category="T01",
        severity="critical",
        evidence="",
        hint="Available tools: add.",
        confidence=1.0,
        critic="rules",
    )
    return replace(base, **changes)  # pyright: ignore[reportArgumentType]


def text_at(chat: Chat, trajectory: Trajectory, span: Span) -> str:
    return chat.text_of(trajectory.token_logs[0].ids[span.start : span.stop])


def test_the_branch_holds_the_name_s_tokens_and_the_hint_is_right_above_the_turn(
    desk_chat: Chat,
) -> None:
    trajectory = trajectory_of(desk_chat, [TEXT, "Done."])
    (example,) = select([trajectory], [finding()], desk_chat, "user").examples
    (candidate,) = example.candidates
    assert text_at(desk_chat, trajectory, candidate.branch.span) == "sum_numbers"
    log = trajectory.token_logs[0]
    at = candidate.branch.at
    assert at == log.turns[0].start
    assert log.ids[at : at + len(desk_chat.header())] == desk_chat.header()
    expected = "<|im_start|>user\nAvailable tools: add.<|im_end|>\n"
    assert (
        desk_chat.template.backend.decode(
            list(candidate.branch.hint_ids), skip_special_tokens=False
        )
        == expected
    )


def test_a_character_span_inside_the_arguments_becomes_its_tokens(desk_chat: Chat) -> None:
    trajectory = trajectory_of(desk_chat, [TEXT])
    at = '{"a": 41}'.index("41")
    wrong = finding(field="arguments", quote="41", char_span=Span(at, at + 2))
    (example,) = select([trajectory], [wrong], desk_chat, "user").examples
    # Digits are single tokens in this vocabulary.
    assert len(example.candidates[0].branch.span) == 2
    assert text_at(desk_chat, trajectory, example.candidates[0].branch.span) == "41"


def test_anchors_are_all_sampled_tokens_that_no_branch_covers(desk_chat: Chat) -> None:
    trajectory = trajectory_of(desk_chat, [TEXT, "Done."])
    (example,) = select([trajectory], [finding()], desk_chat, "user").examples
    span, log = example.candidates[0].branch.span, trajectory.token_logs[0]
    sampled = {i for i, is_sampled in enumerate(log.sampled) if is_sampled}
    assert set(example.anchors) == sampled - set(range(span.start, span.stop))


def test_a_quote_that_is_not_there_is_rejected_with_the_reason(desk_chat: Chat) -> None:
    trajectory = trajectory_of(desk_chat, [TEXT])
    selection = select([trajectory], [finding(quote="add")], desk_chat, "user")
    assert selection.rejections[0].reason == (
        "the turn has 'sum_numbers' where the finding quotes 'add'"
    )
    assert selection.examples[0].candidates == ()


def test_only_the_first_finding_of_a_call_becomes_a_branch() -> None:
    first, second = finding(), finding(category="T10", field="call", quote="")
    assert list(first_of_each_call([first, second])) == [first]


def test_an_abstention_about_a_call_silences_every_finding_about_it() -> None:
    abstention = finding(category="X2", hint="")
    assert list(first_of_each_call([finding(), abstention])) == []


def test_an_abstention_about_the_episode_drops_it(desk_chat: Chat) -> None:
    trajectory = trajectory_of(desk_chat, [TEXT])
    findings = [finding(), finding(category="X2", call_index=None, hint="")]
    selection = select([trajectory], findings, desk_chat, "user")
    assert selection.examples == ()
    assert len(selection.rejections) == 2


def test_a_turn_without_recorded_tokens_is_rejected(desk_chat: Chat) -> None:
    trajectory = replace(trajectory_of(desk_chat, [TEXT]), token_logs=())
    selection = select([trajectory], [finding()], desk_chat, "user")
    assert selection.rejections[0].reason == "the turn has no recorded tokens"
