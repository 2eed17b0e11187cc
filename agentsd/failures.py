"""Which tool results say no. Knows nothing of whose fault that is."""

from __future__ import annotations

import re

from agentsd.types import Message

ERROR_PATTERN = r"\s*(Error\b|error:)"
"""How results begin that report an error in plain text only."""


def is_failure(message: Message, pattern: str | re.Pattern[str] = ERROR_PATTERN) -> bool:
    """Whether a tool message reports an error: its result says so, or its text begins like one.

    >>> is_failure(Message("tool", "Error: no such user"))
    True
    >>> is_failure(Message("tool", "Errors: 0"))
    False
    """
    flagged = message.result is not None and message.result.is_error
    return flagged or re.match(pattern, message.content) is not None
