"""Run critics over trajectories and write down what they find.

Knows nothing of any critic, and nothing of training: it is what `agentsd review` does, too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from agentsd.failures import is_failure
from agentsd.formats import read_any
from agentsd.interfaces import Critic
from agentsd.store import replacing_findings
from agentsd.types import Finding, ToolSpec, Trajectory

CONCURRENCY = 8
"""Trajectories under review at a time."""

WINDOW = 4
"""Trajectories held per slot of concurrency, so that a slow one does not stop the others."""

NOT_THE_POLICY = ("X1", "X2")
"""Abstentions that say whose fault it was: not the policy's."""


@dataclass(frozen=True, slots=True)
class ReviewCounts:
    """What a review came to."""

    trajectories: int = 0
    calls: int = 0
    error_results: int = 0
    """Tool results that report an error, whatever its cause."""
    findings: Mapping[str, int] = field(default_factory=dict[str, int])
    """By category, in the order of the categories; absent where none."""

    def __add__(self, other: ReviewCounts) -> ReviewCounts:
        """The counts of both."""
        findings = Counter(self.findings) + Counter(other.findings)
        return ReviewCounts(
            self.trajectories + other.trajectories,
            self.calls + other.calls,
            self.error_results + other.error_results,
            dict(sorted(findings.items())),
        )


async def review(
    trajectories: Iterable[Trajectory],
    critics: Sequence[Critic],
    *,
    concurrency: int = CONCURRENCY,
) -> list[Finding]:
    """All findings, trajectory by trajectory in the given order. Raises what a critic raises."""
    found: list[Finding] = []
    async for _, findings in review_each(trajectories, critics, concurrency=concurrency):
        found.extend(findings)
    return found


async def review_each(
    trajectories: Iterable[Trajectory],
    critics: Sequence[Critic],
    *,
    concurrency: int = CONCURRENCY,
) -> AsyncIterator[tuple[Trajectory, list[Finding]]]:
    """Yield every trajectory with its merged findings, in the given order, in constant memory."""
    slots = asyncio.Semaphore(concurrency)
    waiting = iter(trajectories)
    while batch := list(islice(waiting, WINDOW * concurrency)):
        for trajectory, findings in zip(batch, await _batch(batch, critics, slots), strict=True):
            yield trajectory, findings


async def review_file(
    source: Path | str,
    critics: Sequence[Critic],
    out: Path | str,
    fmt: str = "auto",
    tools: Sequence[ToolSpec] | None = None,
) -> ReviewCounts:
    """Review a file of trajectories in any format and write the findings to ``out``.

    ``tools`` are what the policy was offered, for formats that do not record it. ``out`` is
    replaced once everything is written; an interrupted review leaves it as it was. Raises
    ``DataError`` for a file that cannot be read.
    """
    counts = ReviewCounts()
    with replacing_findings(out) as write:
        async for trajectory, findings in review_each(read_any(source, fmt, tools), critics):
            write(trajectory, findings)
            counts += count_review(trajectory, findings)
    return counts


def count_review(trajectory: Trajectory, findings: Iterable[Finding]) -> ReviewCounts:
    """The counts of one trajectory."""
    results = [message for message in trajectory.messages if message.role == "tool"]
    return ReviewCounts(
        trajectories=1,
        calls=sum(len(message.tool_calls) for message in trajectory.messages),
        error_results=sum(is_failure(message) for message in results),
        findings=dict(sorted(Counter(finding.category for finding in findings).items())),
    )


def merge_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Order what several critics found in one trajectory, most severe first for each call.

    Of findings with the same category and place the most confident one stays. An abstention that
    clears the policy (X1, X2) removes what is said against the same call with no more confidence.
    """
    ordered = sorted(findings, key=lambda finding: -finding.confidence)
    kept: dict[tuple[object, ...], Finding] = {}
    for finding in ordered:
        kept.setdefault(_place(finding), finding)
    cleared = _cleared_calls(kept.values())
    standing = [
        finding
        for finding in kept.values()
        if finding.category in NOT_THE_POLICY
        or finding.confidence > cleared.get((finding.turn, finding.call_index), -1.0)
    ]
    return sorted(standing, key=_reading_order)


async def _batch(
    trajectories: Sequence[Trajectory], critics: Sequence[Critic], slots: asyncio.Semaphore
) -> list[list[Finding]]:
    """The merged findings of each. A critic's exception is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_one(trajectory, critics, slots)) for trajectory in trajectories
            ]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


async def _one(
    trajectory: Trajectory, critics: Sequence[Critic], slots: asyncio.Semaphore
) -> list[Finding]:
    async with slots:
        return merge_findings(
            [finding for critic in critics for finding in await critic.review(trajectory)]
        )


def _place(finding: Finding) -> tuple[object, ...]:
    span = finding.char_span
    return (finding.turn, finding.call_index, finding.category, finding.field, span)


def _cleared_calls(findings: Iterable[Finding]) -> dict[tuple[int, int | None], float]:
    """Calls for which the policy is not to blame, with the confidence that it is not."""
    cleared: dict[tuple[int, int | None], float] = {}
    for finding in findings:
        if finding.category in NOT_THE_POLICY:
            key = (finding.turn, finding.call_index)
            cleared[key] = max(finding.confidence, cleared.get(key, 0.0))
    return cleared


def _reading_order(finding: Finding) -> tuple[int, int, bool, str]:
    index = -1 if finding.call_index is None else finding.call_index
    return (finding.turn, index, finding.severity != "critical", finding.category)
