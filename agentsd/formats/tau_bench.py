"""Read runs of tau-bench: a list of ``{task_id, trial, reward, info, traj}``.

Call ids repeat within a run, so results are paired by order. A result is an error when its text
begins with ``Error``: that is how the environments of tau-bench refuse. The runs do not say which
tools were offered. Knows nothing of the tasks behind the runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentsd.errors import DataError
from agentsd.formats.json_values import read_values
from agentsd.formats.openai_messages import convert_messages
from agentsd.types import Outcome, StopReason, ToolResult, ToolSpec, Trajectory

NAME = "tau-bench"


def recognizes(value: object) -> bool:
    """Whether a JSON value is a run."""
    return isinstance(value, dict) and isinstance(value.get("traj"), list) and "task_id" in value


def read(path: Path, tools: Sequence[ToolSpec]) -> Iterator[Trajectory]:
    """Yield the runs of a file. Raises ``DataError`` for a value that is not one."""
    for where, value in read_values(path):
        if not recognizes(value):
            raise DataError(f"{where}: not a tau-bench run; expected task_id and traj")
        yield _trajectory(value, where, tools)


def _trajectory(run: dict[str, Any], where: str, tools: Sequence[ToolSpec]) -> Trajectory:
    task_id = str(run["task_id"])
    return Trajectory(
        id=f"{task_id}/{run.get('trial', 0)}",
        task_id=task_id,
        env=NAME,
        tools=tuple(tools),
        messages=convert_messages(run["traj"], where, _result),
        outcome=Outcome(_score(run.get("reward"), where)),
        stop_reason=StopReason.IMPORTED,
        provenance={"format": NAME},
    )


def _result(call_id: str, content: str) -> ToolResult:
    is_error = content.startswith("Error")
    error_class = "tool" if is_error else None
    return ToolResult(call_id, content, is_error=is_error, error_class=error_class)


def _score(reward: object, where: str) -> float | None:
    if reward is None or isinstance(reward, int | float):
        return None if reward is None else float(reward)
    raise DataError(f"{where}: the reward is {reward!r}, not a number")
