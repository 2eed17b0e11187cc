"""Read conversations in OpenAI's chat form: rows ``{messages, tools, id, task_id}``.

The rows are lines or elements of a list; only ``messages`` is required. Whether a result is an
error, rows do not say. Knows nothing of where the rows come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentsd.errors import DataError
from agentsd.formats.json_values import read_values
from agentsd.formats.openai_messages import convert_messages
from agentsd.formats.tools_file import tool_specs
from agentsd.types import StopReason, ToolSpec, Trajectory

NAME = "chat"


def recognizes(value: object) -> bool:
    """Whether a JSON value is a conversation."""
    return isinstance(value, dict) and isinstance(value.get("messages"), list)


def read(path: Path, tools: Sequence[ToolSpec]) -> Iterator[Trajectory]:
    """Yield the conversations of a file; a row's own tools come before ``tools``.

    A row without ``id`` is named after the file and its position. Raises ``DataError`` for a value
    that is no conversation.
    """
    for index, (where, value) in enumerate(read_values(path)):
        if not recognizes(value):
            raise DataError(f"{where}: not a conversation; expected a list of messages")
        yield _trajectory(value, f"{path.stem}/{index}", where, tools)


def _trajectory(
    row: dict[str, Any], fallback_id: str, where: str, tools: Sequence[ToolSpec]
) -> Trajectory:
    trajectory_id = str(row.get("id", fallback_id))
    return Trajectory(
        id=trajectory_id,
        task_id=str(row.get("task_id", trajectory_id)),
        env=NAME,
        tools=_tools(row.get("tools"), where) or tuple(tools),
        messages=convert_messages(row["messages"], where, lambda call_id, content: None),
        stop_reason=StopReason.IMPORTED,
        provenance={"format": NAME},
    )


def _tools(value: object, where: str) -> tuple[ToolSpec, ...]:
    """The row's tools; some datasets keep them as JSON text because their shapes differ."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "null")
        except ValueError as error:
            raise DataError(f"{where}: tools is text that is not JSON: {error}") from error
    return tool_specs(value, where) if value else ()
