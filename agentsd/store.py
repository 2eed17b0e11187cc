"""Trajectories and findings on disk: lossless JSON Lines, read and written in constant memory.

Findings live beside the trajectories they are about and name them by id and content hash. Knows
nothing of other formats; ``formats`` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from agentsd import jsonl
from agentsd.errors import DataError
from agentsd.message_records import Record
from agentsd.records import FindingRecord, TrajectoryRecord
from agentsd.types import Finding, Trajectory

RecordT = TypeVar("RecordT", bound=Record)

AppendTrajectory = Callable[[Trajectory], None]
AppendFindings = Callable[[Trajectory, Sequence[Finding]], None]


def read_trajectories(path: Path | str) -> Iterator[Trajectory]:
    """Yield the trajectories of a file, or of every ``*.jsonl`` in a folder, in name order.

    A torn last line is dropped with a warning. Raises ``DataError`` naming file, line and key for
    everything else that is not a trajectory.
    """
    for file in _files(Path(path)):
        for where, value in jsonl.read_objects(file):
            yield trajectory_from(value, where)


def write_trajectories(path: Path | str, trajectories: Iterable[Trajectory]) -> int:
    """Write the file anew; an old one stays until the last line is written. Returns the count.

    Raises ``DataError`` for a value that JSON cannot hold.
    """
    count = 0
    with jsonl.replacing(Path(path)) as write:
        for trajectory in trajectories:
            write(trajectory_object(trajectory))
            count += 1
    return count


@contextlib.contextmanager
def appending_trajectories(
    path: Path | str, *, durable: bool = False
) -> Iterator[AppendTrajectory]:
    """Append trajectories, each flushed (``durable``: to the disk) before the call returns."""
    with jsonl.appending(Path(path), durable=durable) as write:
        yield lambda trajectory: write(trajectory_object(trajectory))


def read_findings(path: Path | str, hashes: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Yield the findings of a file.

    ``hashes`` maps trajectory ids to the content hashes of the trajectories at hand: a finding
    about another content of one of these is refused with ``DataError``.
    """
    for where, value in jsonl.read_objects(Path(path)):
        record = _valid(FindingRecord, value, where)
        known = (hashes or {}).get(record.trajectory_id, record.trajectory_hash)
        if known != record.trajectory_hash:
            raise DataError(
                f"{where}: trajectory {record.trajectory_id} has changed since it was reviewed "
                f"(hash {known[:12]}, expected {record.trajectory_hash[:12]}); review it again"
            )
        yield record.restore()


def write_findings(
    path: Path | str, reviewed: Iterable[tuple[Trajectory, Sequence[Finding]]]
) -> int:
    """Write the file anew from trajectories and what was found in each. Returns the count."""
    count = 0
    with replacing_findings(path) as append:
        for trajectory, findings in reviewed:
            append(trajectory, findings)
            count += len(findings)
    return count


@contextlib.contextmanager
def replacing_findings(path: Path | str) -> Iterator[AppendFindings]:
    """Write the file anew, piece by piece; an old one is replaced only on success."""
    with jsonl.replacing(Path(path)) as write:
        yield lambda trajectory, findings: _write_all(write, trajectory, findings)


@contextlib.contextmanager
def appending_findings(path: Path | str, *, durable: bool = False) -> Iterator[AppendFindings]:
    """Append findings, each flushed (``durable``: to the disk) before the call returns."""
    with jsonl.appending(Path(path), durable=durable) as write:
        yield lambda trajectory, findings: _write_all(write, trajectory, findings)


def content_hash(trajectory: Trajectory) -> str:
    """SHA-256 of the trajectory as canonical JSON, in hexadecimal; survives a round trip."""
    value = trajectory_object(trajectory)
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def trajectory_object(trajectory: Trajectory) -> dict[str, Any]:
    """The trajectory as JSON values. Raises ``DataError`` for a field of the wrong type."""
    try:
        return TrajectoryRecord.of(trajectory).plain()
    except ValidationError as error:
        raise DataError(f"trajectory {trajectory.id}: {_first(error)}") from error


def trajectory_from(value: Mapping[str, Any], where: str) -> Trajectory:
    """The trajectory that JSON values describe. Raises ``DataError``, which names ``where``."""
    record = _valid(TrajectoryRecord, value, where)
    try:
        return record.restore()
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {error}") from error


def _write_all(write: jsonl.Write, trajectory: Trajectory, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    trajectory_hash = content_hash(trajectory)
    for finding in findings:
        write(FindingRecord.of(finding, trajectory_hash).plain())


def _files(path: Path) -> Sequence[Path]:
    return sorted(path.glob("*.jsonl")) if path.is_dir() else [path]


def _valid(record: type[RecordT], value: Mapping[str, Any], where: str) -> RecordT:
    try:
        return record.model_validate(value)
    except ValidationError as error:
        raise DataError(f"{where}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    """The first problem as ``key: message``, and how many more there are."""
    first, *others = error.errors(include_url=False, include_input=False)
    key = ".".join(str(part) for part in first["loc"]) or "record"
    return f"{key}: {first['msg']}" + (f" (and {len(others)} more)" if others else "")
