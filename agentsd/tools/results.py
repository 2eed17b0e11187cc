"""Turn what a tool gave into a ``ToolResult`` of bounded size. Knows nothing of any tool."""

from __future__ import annotations

from dataclasses import replace

from pydantic_core import to_json

from agentsd.types import ErrorClass, ToolCall, ToolResult

MAX_RESULT_BYTES = 65_536
"""Default limit of one result: about 16,000 tokens."""

MIN_RESULT_BYTES = 128
"""The smallest limit that leaves room for the notice about the cut."""

NOTICE_BYTES = 40
"""Kept free for ``[123456 bytes cut]``."""


def refused(call: ToolCall, message: str, error_class: ErrorClass) -> ToolResult:
    """The reply to a call that failed, in the one wording that all tools share."""
    return ToolResult(call.id, f"Error: {message}", is_error=True, error_class=error_class)


def capped(result: ToolResult, max_bytes: int) -> ToolResult:
    """The result cut at a character boundary so that its content fits ``max_bytes`` of UTF-8.

    The cut is announced in the last line and counted in ``truncated_bytes``. ``structured`` is
    dropped with it, and also when it alone is larger than the limit.
    """
    encoded = result.content.encode("utf-8", errors="replace")
    if len(encoded) <= max_bytes:
        has_room = result.structured is None or len(to_json(result.structured)) <= max_bytes
        return result if has_room else replace(result, structured=None)
    kept = encoded[: max_bytes - NOTICE_BYTES].decode("utf-8", errors="ignore")
    cut = len(encoded) - len(kept.encode())
    notice = f"\n[{cut} bytes cut]"
    return replace(result, content=kept + notice, structured=None, truncated_bytes=cut)
