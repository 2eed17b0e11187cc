"""Rules that read results and earlier calls: T08, T10, T11, X2, X3.

Knows nothing of schemas or of argument values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentsd.types import Span, StopReason, Trajectory, Turn
from agentsd_critics import wording
from agentsd_critics.cases import Case, Place, Verdict, whole_call

MENTIONS = re.compile(
    r"error|sorry|apolog|unfortunately|regret|unable|cannot|can['’]t|won['’]t|n['’]t\b|\bnot\b"
    r"|no longer|fail|issue|problem|invalid|incorrect|wrong|mistake|denied|refused|reject"
    r"|unavailable|insufficient|instead|again|retry|however|exceed|missing|\bbut\b",
    re.IGNORECASE,
)
"""Words with which a message takes notice that something went wrong."""

CLAIMS = re.compile(
    r"\b(?:success(?:ful(?:ly)?)?|done|completed?|all set|confirmed"
    r"|(?:has|have|['’]ve) been \w+(?:ed|t|n)|i(?:['’]ve| have) \w+(?:ed|t|n))\b",
    re.IGNORECASE,
)
"""Words with which a message claims that something worked."""

SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s|$)|(?=\n)|$)")

CUT_SHORT = (StopReason.INFRA, StopReason.TIMEOUT)

MAX_EVIDENCE = 200


def abstention(case: Case, trajectory: Trajectory) -> Verdict | None:
    """X2 where the failure is the harness's: an infra result, or an episode cut off in the call."""
    if case.error_class == "infra":
        evidence = f"infrastructure failed: {_shortened(case)}"
    elif case.result is None and trajectory.stop_reason in CUT_SHORT:
        evidence = f"the episode ended ({trajectory.stop_reason}) before the call had a result"
    else:
        return None
    return Verdict("X2", whole_call(case.call), evidence)


def refused_call(case: Case) -> Verdict | None:
    """T08 where the tool said no; X3 where it ran out of time, which may be anybody's fault."""
    if not case.failed:
        return None
    place, evidence = whole_call(case.call), f"the result: {_shortened(case)}"
    if case.error_class == "timeout":
        return Verdict("X3", place, evidence)
    return Verdict("T08", place, evidence, wording.refused_call(case.call.name), confidence=0.6)


def repeated_call(case: Case, earlier: Sequence[Case]) -> Verdict | None:
    """T10 where an earlier turn made the same call, nothing changed since, and nothing new came.

    Nothing new is the same result as then, or a refusal now. A call that may write and did not
    fail may have changed something. Calls without a result, and those that timed out or met a
    broken harness, may be made again.
    """
    if case.result is None:
        return None
    for before in reversed([e for e in earlier if e.turn.index < case.turn.index]):
        if before.key == case.key and _is_answered(before):
            return _repetition(case, before)
        if before.may_write and not before.failed:
            return None
    return None


def _repetition(case: Case, before: Case) -> Verdict | None:
    if not case.failed and _text(case) != _text(before):
        return None
    evidence = f"the same call in turn {before.turn.index} returned: {_shortened(before)}"
    return Verdict("T10", whole_call(case.call), evidence, wording.repeated_call(), confidence=0.9)


def ignored_error(failed: Sequence[Case], following: Turn, calls: Sequence[Case]) -> Verdict | None:
    """T11 where ``following``, right after failed calls, goes on as if they had worked.

    That is: it takes no notice in words, and either claims success or makes only calls that may
    write (``calls``). That no failed tool was ever tried again, the caller has made sure of.
    """
    message = following.message
    written = [message.content, message.reasoning or "", *(c.call.raw_arguments for c in calls)]
    if any(MENTIONS.search(text) for text in written):
        return None
    if not calls:
        sentence = SENTENCE.search(message.content)
        if sentence is None or not CLAIMS.search(message.content):
            return None
        return _ignorance(failed, Place("content", sentence[0], Span(*sentence.span())))
    if any(not case.may_write or _corrects(case, failed) for case in calls):
        return None
    return _ignorance(failed, whole_call(calls[0].call))


def _ignorance(failed: Sequence[Case], place: Place) -> Verdict:
    return Verdict(
        category="T11",
        place=place,
        evidence=f"{failed[-1].call.name} had returned: {_shortened(failed[-1])}",
        hint=wording.ignored_error(),
        confidence=0.6,
        severity="critical",
    )


def _corrects(case: Case, failed: Sequence[Case]) -> bool:
    """Whether the call may be another try at one that was malformed or named no real tool."""
    return not case.is_unknown and any(f.is_malformed or f.is_unknown for f in failed)


def _is_answered(case: Case) -> bool:
    return case.result is not None and case.error_class not in ("infra", "timeout")


def _text(case: Case) -> str:
    return case.result.content if case.result else ""


def _shortened(case: Case) -> str:
    text = " ".join(_text(case).split())
    return text if len(text) <= MAX_EVIDENCE else f"{text[:MAX_EVIDENCE]} ..."
