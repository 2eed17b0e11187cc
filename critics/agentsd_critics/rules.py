"""The ``rules`` critic: mistakes that can be seen without a model.

Reads trajectories of any origin. Knows nothing of tokens, of tasks, or of what the right call
would have been.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agentsd.errors import ConfigError
from agentsd.failures import ERROR_PATTERN
from agentsd.interfaces import Critic
from agentsd.types import Finding, Trajectory, Turn
from agentsd_critics.cases import Case, Verdict, cases_of
from agentsd_critics.grounding import Source, sources_of, ungrounded_values
from agentsd_critics.rules_calls import malformed_call
from agentsd_critics.rules_results import abstention, ignored_error, refused_call, repeated_call

CATEGORIES = ("T01", "T02", "T03", "T04", "T05", "T08", "T10", "T11", "X2", "X3")
"""What the rules can find."""


def critic(
    *, error_pattern: str = ERROR_PATTERN, categories: Sequence[str] | None = None
) -> Critic:
    """The rules critic.

    ``error_pattern`` is matched at the start of a result's text: a match is an error, as is a
    result that says ``is_error``. ``categories`` keeps only these (abstentions included); None
    keeps all. Raises ``ConfigError`` for a pattern that is no regular expression and for an
    unknown category.
    """
    kept = CATEGORIES if categories is None else tuple(categories)
    if unknown := sorted(set(kept) - set(CATEGORIES)):
        known = ", ".join(CATEGORIES)
        raise ConfigError(f"rules: cannot find {', '.join(unknown)}; use any of: {known}")
    try:
        return Rules(re.compile(error_pattern), frozenset(kept))
    except re.error as error:
        raise ConfigError(f"rules: error_pattern {error_pattern!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Rules:
    """A critic that applies every rule to every call."""

    error_pattern: re.Pattern[str]
    categories: frozenset[str]

    async def review(self, trajectory: Trajectory) -> Sequence[Finding]:
        """The findings, most severe first for each call."""
        cases = cases_of(trajectory, self.error_pattern)
        sources = sources_of(trajectory, cases)
        findings = [
            finding
            for number, case in enumerate(cases)
            for finding in _on_call(case, cases[:number], trajectory, sources)
        ]
        cleared = {(f.turn, f.call_index) for f in findings if f.category == "X2"}
        findings += [
            finding
            for finding in _on_errors(trajectory, cases)
            if (finding.turn, finding.call_index) not in cleared
        ]
        kept = [finding for finding in findings if finding.category in self.categories]
        return sorted(kept, key=_reading_order)


def _on_call(
    case: Case, earlier: Sequence[Case], trajectory: Trajectory, sources: Sequence[Source]
) -> list[Finding]:
    verdicts = _verdicts(case, earlier, trajectory, sources)
    return [v.finding(trajectory.id, case.turn.index, case.call_index) for v in verdicts]


def _verdicts(
    case: Case, earlier: Sequence[Case], trajectory: Trajectory, sources: Sequence[Source]
) -> Iterator[Verdict]:
    """What is wrong with one call. What an earlier rule explains, later ones leave alone."""
    if cleared := abstention(case, trajectory):
        yield cleared
        return
    malformed = malformed_call(case)
    if malformed:
        yield malformed
    if malformed and malformed.category in ("T01", "T02"):
        return
    made_up = [v for v in ungrounded_values(case, sources) if not _same_place(v, malformed)]
    yield from made_up
    if malformed:
        return
    if not made_up and (refused := refused_call(case)):
        yield refused
    if repeated := repeated_call(case, earlier):
        yield repeated


def _same_place(verdict: Verdict, other: Verdict | None) -> bool:
    """Whether the other verdict already speaks of these characters."""
    if other is None:
        return False
    span, taken = verdict.place.char_span, other.place.char_span
    return span is None or taken is None or span.overlaps(taken)


def _on_errors(trajectory: Trajectory, cases: Sequence[Case]) -> Iterator[Finding]:
    """Errors that the message right after them ignores."""
    by_turn: dict[int, list[Case]] = {}
    for case in cases:
        by_turn.setdefault(case.turn.index, []).append(case)
    for turn, following in pairwise(trajectory.turns()):
        failed = [c for c in by_turn.get(turn.index, []) if c.failed and c.error_class != "infra"]
        calls = by_turn.get(following.index, [])
        if failed and _follows(turn, following) and not _tried_again(failed, cases):
            verdict = ignored_error(failed, following, calls)
            if verdict:
                yield verdict.finding(trajectory.id, following.index, 0 if calls else None)


def _follows(turn: Turn, following: Turn) -> bool:
    """Whether nobody spoke between the results of ``turn`` and ``following``."""
    return following.message_index == turn.message_index + 1 + len(turn.results)


def _tried_again(failed: Sequence[Case], cases: Sequence[Case]) -> bool:
    """Whether a failed tool is called in any later turn: then the error was at most put off."""
    names, turn = {case.call.name for case in failed}, failed[0].turn.index
    return any(case.turn.index > turn and case.call.name in names for case in cases)


def _reading_order(finding: Finding) -> tuple[int, int, bool, str]:
    index = -1 if finding.call_index is None else finding.call_index
    return (finding.turn, index, finding.severity != "critical", finding.category)
