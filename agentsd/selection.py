"""From findings to branches: which tokens were wrong, and where the hint goes.

A finding's quote becomes characters of its turn, characters become tokens; each step is exact or
the finding is rejected with the reason. Knows nothing of models or losses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agentsd.chat import Chat
from agentsd.errors import TokenError
from agentsd.textmap import TextMap, find_quote
from agentsd.types import Branch, Finding, Role, Span, TokenLog, ToolCall, Trajectory


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finding as a question to the hinted teacher; the gate decides whether it teaches."""

    finding: Finding
    branch: Branch


@dataclass(frozen=True, slots=True)
class Rejection:
    """A finding that cannot teach, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True, slots=True)
class Example:
    """One token log with what may be learned from it."""

    trajectory_id: str
    log: TokenLog
    candidates: tuple[Candidate, ...]
    anchors: tuple[int, ...]
    """Positions of sampled tokens that no candidate covers; they should stay as they are."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The examples of some trajectories and the findings that were left out."""

    examples: tuple[Example, ...]
    rejections: tuple[Rejection, ...]


def select(
    trajectories: Sequence[Trajectory], findings: Iterable[Finding], chat: Chat, hint_role: Role
) -> Selection:
    """Turn findings into branches, at most one for each call: the first that has a hint.

    A trajectory with an abstention about the whole episode (no call index) is left out; an
    abstention about a call leaves the call out. Raises ``ConfigError`` when the chat template
    cannot take a hint of this role right above a turn.
    """
    by_trajectory: dict[str, list[Finding]] = {}
    for finding in findings:
        by_trajectory.setdefault(finding.trajectory_id, []).append(finding)
    examples: list[Example] = []
    rejections: list[Rejection] = []
    for trajectory in trajectories:
        own = by_trajectory.get(trajectory.id, [])
        if any(f.is_abstention and f.call_index is None for f in own):
            rejections += [
                Rejection(finding, "the episode is not the policy's fault") for finding in own
            ]
            continue
        candidates: list[Candidate] = []
        for finding in first_of_each_call(own):
            try:
                candidates.append(
                    Candidate(finding, branch_of(trajectory, finding, chat, hint_role))
                )
            except TokenError as error:
                rejections.append(Rejection(finding, str(error)))
        examples.extend(_examples(trajectory, candidates))
    return Selection(tuple(examples), tuple(rejections))


def first_of_each_call(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The first finding of every call, unless the critic abstains on the call or has no hint."""
    seen: set[tuple[int, int | None]] = {
        (finding.turn, finding.call_index) for finding in findings if finding.is_abstention
    }
    for finding in findings:
        call = (finding.turn, finding.call_index)
        if call not in seen and finding.hint:
            seen.add(call)
            yield finding


def branch_of(trajectory: Trajectory, finding: Finding, chat: Chat, hint_role: Role) -> Branch:
    """The branch that asks about the finding's tokens with its hint right above their turn.

    Raises ``TokenError`` where the quote does not map to tokens exactly.
    """
    log = trajectory.log_of(finding.turn)
    if log is None:
        raise TokenError("the turn has no recorded tokens")
    sampled = log.sampled_span(finding.turn)
    text_map = chat.text_map(log.ids[sampled.start : sampled.stop])
    char_span = turn_char_span(trajectory, finding, text_map)
    span = text_map.tokens_of(char_span).shift(sampled.start)
    turn = trajectory.turns()[finding.turn]
    after = trajectory.messages[turn.message_index - 1].role
    at = log.turns[finding.turn - log.first_turn].start
    return Branch(at, chat.hint(finding.hint, hint_role, after), span)


def turn_char_span(trajectory: Trajectory, finding: Finding, text_map: TextMap) -> Span:
    """Where the finding's quote stands in the text of its turn.

    Raises ``TokenError`` when it does not stand there.
    """
    field = _field_span(trajectory, finding, text_map.text)
    inside = finding.char_span or Span(0, len(field))
    char_span = inside.shift(field.start)
    found = text_map.text[char_span.start : char_span.stop]
    # A call's quote may be a part of it: a critic of messages does not see the call as written.
    matches = finding.quote in found if finding.field == "call" else finding.quote == found
    if char_span.stop > field.stop or not matches:
        raise TokenError(f"the turn has {found!r} where the finding quotes {finding.quote!r}")
    return char_span


def _field_span(trajectory: Trajectory, finding: Finding, text: str) -> Span:
    """The characters of the turn that ``finding.field`` names."""
    if finding.field == "turn":
        return Span(0, len(text))
    message = trajectory.turns()[finding.turn].message
    if finding.field == "content":
        return find_quote(text, message.content)
    if finding.call_index is None or finding.call_index >= len(message.tool_calls):
        raise TokenError(f"the turn has no call {finding.call_index}")
    span = _call_part(message.tool_calls[finding.call_index], finding)
    if span is None:
        raise TokenError(f"the call has no {finding.field} that could be located")
    return span


def _call_part(call: ToolCall, finding: Finding) -> Span | None:
    if call.spans is None:
        return None
    parts = {"name": call.spans.name, "arguments": call.spans.arguments, "call": call.spans.call}
    return parts[finding.field]


def _examples(trajectory: Trajectory, candidates: Sequence[Candidate]) -> Iterator[Example]:
    """One example for each token log that has sampled tokens."""
    for log in trajectory.token_logs:
        turns = range(log.first_turn, log.first_turn + len(log.turns))
        own = tuple(c for c in candidates if c.finding.turn in turns)
        covered = {i for c in own for i in range(c.branch.span.start, c.branch.span.stop)}
        anchors = tuple(
            i for i, is_sampled in enumerate(log.sampled) if i and is_sampled and i not in covered
        )
        if own or anchors:
            yield Example(trajectory.id, log, own, anchors)
