"""What stored trajectories and findings look like: pydantic models at the file boundary.

Token logs are kept as runs, so that a line is little longer than its ids. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Literal, Self, TypeVar

from pydantic import Field

from agentsd import types
from agentsd.message_records import MessageRecord, Record, Span, ToolSpecRecord

T = TypeVar("T")


class LogprobRun(Record):
    """Logprobs of neighbouring tokens, the first of them token ``at``."""

    at: int
    values: list[float]


class TokenLogRecord(Record):
    """A ``TokenLog``: runs of sampled tokens and of known logprobs, not one flag each."""

    ids: list[int]
    sampled: list[Span]
    logprobs: list[LogprobRun] | None = None
    turns: list[Span]
    first_turn: int = 0

    @classmethod
    def of(cls, log: types.TokenLog) -> Self:
        """The record of ``log``."""
        return cls(
            ids=list(log.ids),
            sampled=list(_runs(log.sampled, bool)),
            logprobs=None if log.logprobs is None else list(_logprob_runs(log.logprobs)),
            turns=list(log.turns),
            first_turn=log.first_turn,
        )

    def restore(self) -> types.TokenLog:
        """The log that was recorded. Raises ``ValueError`` where a run leaves the tokens."""
        sampled = [False] * len(self.ids)
        for run in self.sampled:
            _put(sampled, run.start, [True] * len(run))
        return types.TokenLog(
            tuple(self.ids),
            tuple(sampled),
            self._restore_logprobs(),
            tuple(self.turns),
            self.first_turn,
        )

    def _restore_logprobs(self) -> tuple[float | None, ...] | None:
        if self.logprobs is None:
            return None
        values: list[float | None] = [None] * len(self.ids)
        for run in self.logprobs:
            _put(values, run.at, run.values)
        return tuple(values)


class OutcomeRecord(Record):
    """An ``Outcome``."""

    score: float | None = None
    reason: str = ""


class TrajectoryRecord(Record):
    """A ``Trajectory``: one line of a trajectories file."""

    format: Literal["agentsd/trajectory/1"]
    id: str
    task_id: str
    env: str
    tools: list[ToolSpecRecord] = Field(default=[])
    messages: list[MessageRecord]
    token_logs: list[TokenLogRecord] = Field(default=[])
    outcome: OutcomeRecord = OutcomeRecord()
    stop_reason: str
    policy_version: str = ""
    seed: int | None = None
    timings: dict[str, float] = Field(default={})
    provenance: dict[str, str] = Field(default={})

    @classmethod
    def of(cls, trajectory: types.Trajectory) -> Self:
        """The record of ``trajectory``."""
        outcome = trajectory.outcome
        return cls(
            format="agentsd/trajectory/1",
            id=trajectory.id,
            task_id=trajectory.task_id,
            env=trajectory.env,
            tools=[ToolSpecRecord.of(spec) for spec in trajectory.tools],
            messages=[MessageRecord.of(message) for message in trajectory.messages],
            token_logs=[TokenLogRecord.of(log) for log in trajectory.token_logs],
            outcome=OutcomeRecord(score=outcome.score, reason=outcome.reason),
            stop_reason=trajectory.stop_reason.value,
            policy_version=trajectory.policy_version,
            seed=trajectory.seed,
            timings=dict(trajectory.timings),
            provenance=dict(trajectory.provenance),
        )

    def restore(self) -> types.Trajectory:
        """The trajectory that was recorded. Raises ``ValueError`` where it contradicts itself."""
        return types.Trajectory(
            self.id,
            self.task_id,
            self.env,
            tuple(spec.restore() for spec in self.tools),
            tuple(message.restore() for message in self.messages),
            tuple(log.restore() for log in self.token_logs),
            types.Outcome(self.outcome.score, self.outcome.reason),
            types.StopReason(self.stop_reason),
            self.policy_version,
            self.seed,
            self.timings,
            self.provenance,
        )


class FindingRecord(Record):
    """A ``Finding``: one line of a findings file."""

    format: Literal["agentsd/finding/1"]
    trajectory_id: str
    trajectory_hash: str
    """Of the trajectory that was reviewed; a finding does not fit any other."""
    turn: int
    call_index: int | None
    field: types.Field
    quote: str
    char_span: Span | None
    category: str
    severity: types.Severity
    evidence: str
    hint: str
    confidence: float
    critic: str

    @classmethod
    def of(cls, finding: types.Finding, trajectory_hash: str) -> Self:
        """The record of ``finding``."""
        values = {name: getattr(finding, name) for name in types.Finding.__dataclass_fields__}
        return cls(format="agentsd/finding/1", trajectory_hash=trajectory_hash, **values)

    def restore(self) -> types.Finding:
        """The finding that was recorded."""
        values = {name: getattr(self, name) for name in types.Finding.__dataclass_fields__}
        return types.Finding(**values)


def _runs(values: Iterable[T], keep: Callable[[T], bool]) -> Iterator[types.Span]:
    """The longest stretches of values to keep."""
    stop = 0
    for kept, run in groupby(values, keep):
        start, stop = stop, stop + sum(1 for _ in run)
        if kept:
            yield types.Span(start, stop)


def _logprob_runs(logprobs: Sequence[float | None]) -> Iterator[LogprobRun]:
    for run in _runs(logprobs, lambda value: value is not None):
        known = [value for value in logprobs[run.start : run.stop] if value is not None]
        yield LogprobRun(at=run.start, values=known)


def _put(into: list[T], at: int, values: Sequence[T]) -> None:
    if not 0 <= at <= at + len(values) <= len(into):
        raise ValueError(f"a run of {len(values)} at {at} leaves the {len(into)} tokens")
    into[at : at + len(values)] = values
