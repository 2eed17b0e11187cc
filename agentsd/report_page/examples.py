"""Accepted branches as conversations: up to the wrong call, which is marked, with the hint above.

Knows nothing of HTML, nor of why a branch was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from agentsd.report_page.inputs import BranchRow, TokenRow
from agentsd.rundir import RunDir
from agentsd.store import read_findings, read_trajectories
from agentsd.types import Field, Finding, Message, Span, ToolCall, Trajectory

CONTEXT = 4
"""Messages shown above the wrong call, besides the task."""

MOST_CHARS = 1200
"""Of one message or argument text; what is left out is counted."""

MOST_TOKENS = 12
"""Rows of the token table."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A text in which one stretch may be wrong."""

    before: str
    wrong: str = ""
    after: str = ""
    left_out: int = 0
    """Characters that are not shown."""


@dataclass(frozen=True, slots=True)
class ShownCall:
    """A tool call, as written."""

    name: Marked
    arguments: Marked


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """One message of the conversation."""

    role: str
    content: Marked
    reasoning: Marked | None
    calls: tuple[ShownCall, ...]
    is_error: bool


@dataclass(frozen=True, slots=True)
class Example:
    """An accepted branch and the conversation it belongs to."""

    branch: BranchRow
    evidence: str
    """Why the critic holds the call to be wrong; empty where its finding is not recorded."""
    task: ShownMessage | None
    """The first user message, where it does not stand in ``above`` anyway."""
    num_skipped: int
    """Messages left out between the task and ``above``."""
    above: tuple[ShownMessage, ...]
    turn: ShownMessage | None
    """The assistant message with the wrong call; None where the trajectory is not recorded."""
    tokens: tuple[TokenRow, ...]
    """In order; of a long span, those on which the two views differ most."""
    student_p: float
    """Probability of the whole erroneous span without the hint."""
    teacher_p: float
    """Probability of the whole erroneous span with it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the mistake stands; ``char_span`` None means all of the field."""

    call_index: int | None
    field: Field
    char_span: Span | None


def examples(run: RunDir, branches: Sequence[BranchRow]) -> tuple[Example, ...]:
    """The branches with what the run directory recorded of their trajectories."""
    findings = list(_findings(run, {branch.trajectory_id for branch in branches}))
    return tuple(_example(b, _trajectory(run, b), _finding_of(b, findings)) for b in branches)


def _example(branch: BranchRow, trajectory: Trajectory | None, finding: Finding | None) -> Example:
    example = Example(
        branch=branch,
        evidence=finding.evidence if finding else "",
        task=None,
        num_skipped=0,
        above=(),
        turn=None,
        tokens=telling_tokens(branch.tokens),
        student_p=math.prod(token.student_p for token in branch.tokens),
        teacher_p=math.prod(token.teacher_p for token in branch.tokens),
    )
    turns = trajectory.turns() if trajectory else ()
    if trajectory is None or branch.turn >= len(turns):
        return example
    at = turns[branch.turn].message_index
    task_at = next((i for i, m in enumerate(trajectory.messages[:at]) if m.role == "user"), at)
    start = max(0, at - CONTEXT)
    wrong = trajectory.messages[at]
    return replace(
        example,
        task=_shown(trajectory.messages[task_at]) if task_at < start else None,
        num_skipped=start - (1 if task_at < start else 0),
        above=tuple(_shown(message) for message in trajectory.messages[start:at]),
        turn=_shown(wrong, _place(branch, finding, wrong)),
    )


def telling_tokens(tokens: Sequence[TokenRow]) -> tuple[TokenRow, ...]:
    """At most ``MOST_TOKENS`` of the tokens: those with the largest divergence, in order."""
    by_divergence = sorted(range(len(tokens)), key=lambda i: -tokens[i].divergence)
    return tuple(tokens[i] for i in sorted(by_divergence[:MOST_TOKENS]))


def _findings(run: RunDir, trajectory_ids: set[str]) -> Iterator[Finding]:
    if trajectory_ids and run.findings.exists():
        for finding in read_findings(run.findings):
            if finding.trajectory_id in trajectory_ids:
                yield finding


def _finding_of(branch: BranchRow, findings: Iterable[Finding]) -> Finding | None:
    wanted = (branch.trajectory_id, branch.turn, branch.call_index, branch.quote, branch.hint)
    for finding in findings:
        place = (finding.trajectory_id, finding.turn, finding.call_index)
        if (*place, finding.quote, finding.hint) == wanted:
            return finding
    return None


def _trajectory(run: RunDir, branch: BranchRow) -> Trajectory | None:
    path = run.trajectories(branch.step)
    if not path.exists():
        return None
    return next((t for t in read_trajectories(path) if t.id == branch.trajectory_id), None)


def _place(branch: BranchRow, finding: Finding | None, message: Message) -> Place:
    """Where the finding says the mistake is, else where its quote stands, else the whole call."""
    whole = Place(branch.call_index, "turn" if branch.call_index is None else "call", None)
    fields = _fields(message, branch.call_index)
    if finding and finding.field in fields:
        text = fields[finding.field]
        span = finding.char_span or Span(0, len(text))
        is_exact = text[span.start : span.stop] == finding.quote
        return Place(branch.call_index, finding.field, span) if is_exact else whole
    for field, text in fields.items():
        if branch.quote and text.count(branch.quote) == 1:
            start = text.index(branch.quote)
            return Place(branch.call_index, field, Span(start, start + len(branch.quote)))
    return whole


def _fields(message: Message, call_index: int | None) -> dict[Field, str]:
    """The texts in which a mistake can stand that a message holds as they were written."""
    if call_index is None or call_index >= len(message.tool_calls):
        return {"content": message.content}
    call = message.tool_calls[call_index]
    return {"name": call.name, "arguments": call.raw_arguments, "content": message.content}


def _shown(message: Message, place: Place | None = None) -> ShownMessage:
    in_content = place is not None and place.field in ("content", "turn")
    return ShownMessage(
        role=message.role,
        content=_marked(message.content, place.char_span if place else None, in_content),
        reasoning=_marked(message.reasoning, None, False) if message.reasoning else None,
        calls=tuple(
            _call(call, place if place and place.call_index == index else None)
            for index, call in enumerate(message.tool_calls)
        ),
        is_error=message.result is not None and message.result.is_error,
    )


def _call(call: ToolCall, place: Place | None) -> ShownCall:
    field = place.field if place else None
    span = place.char_span if place and field != "call" else None
    return ShownCall(
        name=_marked(call.name, span, field in ("name", "call")),
        arguments=_marked(call.raw_arguments, span, field in ("arguments", "call")),
    )


def _marked(text: str, span: Span | None, is_wrong: bool) -> Marked:
    """The text, cut to a bearable size. If wrong, ``span`` is marked; all of it where None."""
    if not is_wrong:
        return Marked(text[:MOST_CHARS], left_out=max(0, len(text) - MOST_CHARS))
    span = span or Span(0, len(text))
    before, wrong, after = text[: span.start], text[span.start : span.stop], text[span.stop :]
    before, wrong, after = before[-MOST_CHARS:], wrong[:MOST_CHARS], after[:MOST_CHARS]
    return Marked(before, wrong, after, len(text) - len(before) - len(wrong) - len(after))
