"""What may follow a turn: the calls it answers, and dummy turns to render it behind.

Knows nothing of templates or tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, takewhile

from agentsd.errors import TokenError
from agentsd.types import Message, Role, ToolCall


def answered_calls(
    new_messages: Sequence[Message], calls: Sequence[ToolCall]
) -> Sequence[ToolCall]:
    """The calls that leading tool messages answer. Raises ``TokenError``."""
    if any(message.role == "assistant" for message in new_messages):
        raise TokenError("re-rendering a recorded turn is an error; append only what came after it")
    answers = len(list(takewhile(lambda message: message.role == "tool", new_messages)))
    if answers > len(calls):
        raise TokenError(f"{answers} tool messages answer {len(calls)} calls of the last turn")
    return calls[:answers]


def unused_marker(messages: Sequence[Message]) -> str:
    """A word that no message contains, unchanged by trimming and JSON escapes."""
    said = "\n".join(message.content for message in messages)
    return next(word for number in count() if (word := f"turn{number}ends") not in said)


def dummy_turn(marker: str, calls: Sequence[ToolCall]) -> list[Message]:
    """A turn that may stand for any: the names and ids of ``calls``, and the marker at its end.

    Templates that show calls may drop the content, so the marker is in both.
    """
    marked = tuple(ToolCall(call.id, call.name, "", arguments={"marker": marker}) for call in calls)
    return [Message("user", "question"), Message("assistant", marker, tool_calls=marked)]


def dummy_reply(role: Role) -> tuple[list[Message], list[ToolCall]]:
    """What follows a turn so that a message of ``role`` is last, and the calls it answers."""
    if role == "assistant":
        return [], []
    call = ToolCall("call_0_0", "tool", "", arguments={})
    answer = Message(role, "question", tool_call_id=call.id if role == "tool" else None)
    return [answer], [call] if role == "tool" else []
