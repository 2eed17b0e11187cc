"""Turn messages in OpenAI's chat form into ``Message``: shared by every format that stores them.

A result goes to the call it answers: by id where the ids of a turn are distinct, else by order.
Keys that a ``Message`` has no place for are left out. Knows nothing of files or of tools.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from agentsd.errors import DataError
from agentsd.toolcalls.jsonscan import DECODER
from agentsd.types import Message, Role, ToolCall, ToolResult

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}

REASONING_KEYS = ("reasoning_content", "reasoning")

NO_RESULT = ToolResult("", "", is_error=True, error_class="infra")
"""Stands where a call has no recorded result but a later call of its turn has one."""

AsResult = Callable[[str, str], ToolResult | None]
"""Makes (call id, text) of a tool message a result; None where the format does not tell."""


def convert_messages(values: object, where: str, as_result: AsResult) -> tuple[Message, ...]:
    """The messages of one conversation. Raises ``DataError`` naming ``where`` and the message."""
    if not isinstance(values, list):
        raise DataError(f"{where}: messages must be a list, got {type(values).__name__}")
    messages = [
        _message(value, f"{where}: message {index}", as_result)
        for index, value in enumerate(values)
    ]
    return tuple(_paired(messages))


def _message(value: object, where: str, as_result: AsResult) -> Message:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        raise DataError(f"{where}: expected an object with a role")
    if value["role"] not in ROLES:
        raise DataError(f"{where}: unknown role {value['role']!r}; one of {', '.join(ROLES)}")
    role, content = ROLES[value["role"]], _text(value.get("content"), where)
    if role == "assistant":
        return Message(role, content, _calls(value, where), reasoning=_reasoning(value))
    if role != "tool":
        return Message(role, content)
    call_id = str(value.get("tool_call_id") or "")
    result = as_result(call_id, content)
    return Message(role, content, tool_call_id=call_id or None, result=result)


def _text(content: object, where: str) -> str:
    """Plain text, the texts of content parts joined, or nothing. Raises ``DataError``."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        return json.dumps(content, ensure_ascii=False)
    return "".join(_part_text(part, where) for part in content)


def _part_text(part: object, where: str) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return part["text"]
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise DataError(f"{where}: content part of type {kind}; only text can be read")


def _reasoning(value: Mapping[str, Any]) -> str | None:
    found = (value.get(key) for key in REASONING_KEYS)
    return next((text for text in found if isinstance(text, str)), None)


def _calls(value: Mapping[str, Any], where: str) -> tuple[ToolCall, ...]:
    calls = value.get("tool_calls") or []
    if isinstance(value.get("function_call"), dict):
        calls = [{"function": value["function_call"]}]
    if not isinstance(calls, list):
        raise DataError(f"{where}: tool_calls must be a list, got {type(calls).__name__}")
    return tuple(_call(call, f"{where}: call {index}") for index, call in enumerate(calls))


def _call(value: object, where: str) -> ToolCall:
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(function, dict):
        raise DataError(f"{where}: expected an object with a function")
    written = function.get("arguments")
    if written is None:
        written = ""
    raw = written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)
    arguments, problem = _arguments(raw)
    return ToolCall(
        id=str(value.get("id") or ""),
        name=str(function.get("name") or ""),
        raw_arguments=raw,
        arguments=arguments,
        problem=problem,
    )


def _arguments(raw: str) -> tuple[dict[str, Any] | None, str | None]:
    """The parsed arguments, or why there are none. Nothing written is a call without arguments."""
    try:
        parsed = DECODER.decode(raw) if raw.strip() else {}
    except (ValueError, RecursionError) as error:
        return None, f"the arguments are not JSON: {error}"
    if not isinstance(parsed, dict):
        return None, f"the arguments are not an object but {type(parsed).__name__}"
    return cast("dict[str, Any]", parsed), None


def _paired(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages with each turn's results in the order of its calls."""
    index = 0
    while index < len(messages):
        message = messages[index]
        stop = index = index + 1
        yield message
        if message.role != "assistant":
            continue
        while stop < len(messages) and messages[stop].role == "tool":
            stop += 1
        yield from _in_call_order(message.tool_calls, messages[index:stop])
        index = stop


def _in_call_order(calls: Sequence[ToolCall], results: Sequence[Message]) -> Sequence[Message]:
    """``results`` as they are, unless distinct ids say that they answer in another order."""
    ids = [call.id for call in calls]
    by_id = {result.tool_call_id: result for result in results}
    is_told = len(set(ids)) == len(ids) and len(by_id) == len(results) and by_id.keys() <= set(ids)
    if not is_told or ids[: len(results)] == list(by_id):
        return results
    last = max(index for index, call_id in enumerate(ids) if call_id in by_id)
    return [by_id.get(call_id) or _no_result(call_id) for call_id in ids[: last + 1]]


def _no_result(call_id: str) -> Message:
    return Message("tool", "", tool_call_id=call_id, result=replace(NO_RESULT, call_id=call_id))
