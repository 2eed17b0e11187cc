"""The ``depot`` critic: where a slip was made, which is often not where it was refused.

Follows the recorded calls with the expert's mind. A call that the mind would make is right; one
that it would make after a slip is that slip, and the mind goes on with the wrong belief, so that
what follows from it is not blamed again. What fits neither is left to the ``rules`` critic, or
ends the review. Knows nothing of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentsd.failures import is_failure
from agentsd.interfaces import Critic
from agentsd.types import Finding, Message, Span, ToolCall, Trajectory, Turn
from agentsd_critics import rules
from agentsd_envs.depot import hints
from agentsd_envs.depot.expert import Job, Mind, Step
from agentsd_envs.depot.flaws import FLAWS, Flaw

CRITIC = "depot"

IN_THE_CALL = ("T01", "T02", "T03", "T04", "T05")
"""What the rules are asked for: mistakes of a call in itself."""

VISIT = re.compile(r"Key of @(\w+): ([^.]*)\.")
MOST_SLIPS = 3
"""In front of one call."""

JOB = re.compile(r"(?:(log|fill|empty)|(take) (\d+) from) #(\w+)")


def critic() -> Critic:
    """Findings of slips, and of calls that are wrong in themselves."""
    return DepotCritic(rules.critic(categories=IN_THE_CALL))


@dataclass(frozen=True, slots=True)
class DepotCritic:
    """Implements ``Critic``; made by ``critic``."""

    in_the_call: Critic

    async def review(self, trajectory: Trajectory) -> Sequence[Finding]:
        """The findings in reading order. None of slips when the user asks for something else."""
        found = [*await self.in_the_call.review(trajectory), *slips_of(trajectory)]
        return sorted(found, key=lambda finding: (finding.turn, finding.call_index or 0))


def jobs_of(prompt: str) -> list[Job]:
    """The jobs that the user names, in order.

    >>> jobs_of("Key of @Mia: take 5 from #tea.")
    [{'person': 'Mia', 'verb': 'take', 'bin': 'tea', 'count': 5}]
    """
    jobs: list[Job] = []
    for visit in VISIT.finditer(prompt):
        for job in JOB.finditer(visit[2]):
            count = {"count": int(job[3])} if job[3] else {}
            jobs.append({"person": visit[1], "verb": job[1] or job[2], "bin": job[4], **count})
    return jobs


def slips_of(trajectory: Trajectory) -> Iterator[Finding]:
    """Every slip, at the call or answer in which it was made."""
    said = next((m.content for m in trajectory.messages if m.role == "user"), "")
    mind = Mind(jobs_of(said))
    if not mind.jobs:
        return
    for turn in trajectory.turns():
        if not turn.message.tool_calls:
            if turn.message.content and mind.step() is not None:
                yield _early_answer(trajectory, turn)
            return
        for index, call in enumerate(turn.message.tool_calls):
            reply = turn.result_of(index)
            made = explained(mind, call)
            if made is not None and made.flaw is not None:
                yield _finding(trajectory, turn, index, made)
            if reply is None:
                return
            mind = made.mind if made else mind
            if not (_follows(made, reply) if made else _goes_on(mind, call, reply)):
                return


@dataclass(frozen=True, slots=True)
class Made:
    """A call as the mind understands it."""

    mind: Mind
    """As it is when the call is made."""
    step: Step
    flaw: Flaw | None = None
    """The slip that led to the call; the first, where several did."""
    due: str = ""
    """The tool of the step at which the slip was made."""


def explained(mind: Mind, call: ToolCall) -> Made | None:
    """The call as the mind's next step, after as few slips as it takes; None when none lead there.

    The mind itself stays as it is.
    """
    waiting: list[Made] = [Made(mind, step)] if (step := mind.step()) else []
    for _ in range(MOST_SLIPS + 1):
        for made in waiting:
            if _is_same(made.step, call):
                return made
        waiting = [after for made in waiting for after in _after_slips(made)]
    return None


def _after_slips(made: Made) -> Iterator[Made]:
    """What the mind may do instead, one slip later."""
    for flaw in FLAWS:
        if flaw.applies(made.step):
            mind = made.mind.copy()
            mind.make_slip(flaw.slip, made.step)
            if (step := mind.step()) is not None:
                yield Made(mind, step, made.flaw or flaw, made.due or made.step.tool)


def _is_same(step: Step, call: ToolCall) -> bool:
    return (step.tool, dict(step.arguments)) == (call.name, dict(call.arguments or {}))


def _follows(made: Made, reply: Message) -> bool:
    """Whether the mind understands the result of its own step."""
    try:
        made.mind.saw(made.step, reply.content)
    except ValueError:
        return False  # no depot says that
    return True


def _goes_on(mind: Mind, call: ToolCall, reply: Message) -> bool:
    """Whether the review can go on behind a call that no slip explains; then the mind knows."""
    name, due = dict(call.arguments or {}).get("name"), mind.step()
    if is_failure(reply):
        return True
    if due and due.tool == call.name and due.arguments.get("name") == name:
        return _follows(Made(mind, due), reply)  # the right step with a wrong value
    if call.name == "read_bin" and reply.content.isdecimal():
        mind.counts[str(name)] = int(reply.content)
        mind.stale.discard(str(name))
        return True
    if call.name == "close_bin":
        mind.open = None if mind.open == name else mind.open
        return True
    return False


def _finding(trajectory: Trajectory, turn: Turn, index: int, made: Made) -> Finding:
    call, flaw = turn.message.tool_calls[index], made.flaw
    assert flaw is not None
    return Finding(
        trajectory_id=trajectory.id,
        turn=turn.index,
        call_index=index,
        field="name",
        quote=call.name,
        char_span=Span(0, len(call.name)),
        category=flaw.category,
        severity="critical",
        evidence=f"{made.due} was due",
        hint=flaw.hint(trajectory.tools, made.due),
        confidence=0.9,
        critic=CRITIC,
    )


def _early_answer(trajectory: Trajectory, turn: Turn) -> Finding:
    return Finding(
        trajectory_id=trajectory.id,
        turn=turn.index,
        call_index=None,
        field="content",
        quote=turn.message.content,
        char_span=None,
        category="T16",
        severity="critical",
        evidence="there is more to be done",
        hint=hints.early_answer(),
        confidence=0.9,
        critic=CRITIC,
    )
