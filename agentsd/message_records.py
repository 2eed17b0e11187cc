"""What stored messages look like: pydantic models of tools, calls, results and messages.

A record leaves out what has its default, keeps spans as ``[start, stop]``, and keeps nothing
twice. Unknown keys are refused. Knows nothing of files, trajectories or tokens.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from agentsd import types


def _span(value: object) -> types.Span:
    match value:
        case types.Span():
            return value
        case [int(start), int(stop)]:
            return types.Span(start, stop)
        case _:
            raise ValueError(f"a span is [start, stop], got {value!r}")


def _pair(span: types.Span) -> list[int]:
    return [span.start, span.stop]


Span = Annotated[types.Span, PlainValidator(_span), PlainSerializer(_pair)]
"""A span, stored as ``[start, stop]``."""


class Record(BaseModel):
    """Base of all records: nothing unknown, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def plain(self) -> dict[str, Any]:
        """As JSON values, without what has its default."""
        return self.model_dump(exclude_defaults=True)


class ToolSpecRecord(Record):
    """A ``ToolSpec``."""

    name: str
    description: str
    input_schema: dict[str, Any]
    read_only: bool = False

    @classmethod
    def of(cls, spec: types.ToolSpec) -> Self:
        """The record of ``spec``."""
        return cls(
            name=spec.name,
            description=spec.description,
            input_schema=dict(spec.input_schema),
            read_only=spec.read_only,
        )

    def restore(self) -> types.ToolSpec:
        """The tool that was recorded."""
        return types.ToolSpec(self.name, self.description, self.input_schema, self.read_only)


class CallSpansRecord(Record):
    """A ``CallSpans``."""

    call: Span
    name: Span | None = None
    arguments: Span | None = None
    problem: Span | None = None

    @classmethod
    def of(cls, spans: types.CallSpans) -> Self:
        """The record of ``spans``."""
        return cls(
            call=spans.call, name=spans.name, arguments=spans.arguments, problem=spans.problem
        )

    def restore(self) -> types.CallSpans:
        """The spans that were recorded."""
        return types.CallSpans(self.call, self.name, self.arguments, self.problem)


class ToolCallRecord(Record):
    """A ``ToolCall``."""

    id: str
    name: str
    raw_arguments: str
    arguments: dict[str, Any] | Literal["raw"] | None = "raw"
    """``"raw"``: the object that ``raw_arguments`` spells as JSON, which is not kept twice."""
    problem: str | None = None
    spans: CallSpansRecord | None = None

    @classmethod
    def of(cls, call: types.ToolCall) -> Self:
        """The record of ``call``."""
        arguments = None if call.arguments is None else dict(call.arguments)
        return cls(
            id=call.id,
            name=call.name,
            raw_arguments=call.raw_arguments,
            arguments="raw" if _spells(call.raw_arguments, arguments) else arguments,
            problem=call.problem,
            spans=None if call.spans is None else CallSpansRecord.of(call.spans),
        )

    def restore(self) -> types.ToolCall:
        """The call that was recorded. Raises ``ValueError`` where ``"raw"`` is not JSON."""
        arguments = json.loads(self.raw_arguments) if self.arguments == "raw" else self.arguments
        return types.ToolCall(
            self.id,
            self.name,
            self.raw_arguments,
            arguments,
            self.problem,
            None if self.spans is None else self.spans.restore(),
        )


class ToolResultRecord(Record):
    """A ``ToolResult``, inside the tool message that it became."""

    call_id: str | None = None
    """None: the message's ``tool_call_id``."""
    content: str | None = None
    """None: the message's ``content``."""
    structured: Any = None
    is_error: bool = False
    error_class: types.ErrorClass | None = None
    truncated_bytes: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, result: types.ToolResult, message: types.Message) -> Self:
        """The record of ``result``, less what ``message`` holds as well."""
        return cls(
            call_id=None if result.call_id == message.tool_call_id else result.call_id,
            content=None if result.content == message.content else result.content,
            structured=result.structured,
            is_error=result.is_error,
            error_class=result.error_class,
            truncated_bytes=result.truncated_bytes,
            seconds=result.seconds,
        )

    def restore(self, tool_call_id: str | None, content: str) -> types.ToolResult:
        """The result that was recorded. Raises ``ValueError`` where no call id is known."""
        call_id = tool_call_id if self.call_id is None else self.call_id
        if call_id is None:
            raise ValueError("result: neither the result nor its message has a call id")
        return types.ToolResult(
            call_id,
            content if self.content is None else self.content,
            self.structured,
            self.is_error,
            self.error_class,
            self.truncated_bytes,
            self.seconds,
        )


class MessageRecord(Record):
    """A ``Message``."""

    role: types.Role
    content: str
    tool_calls: list[ToolCallRecord] = Field(default=[])
    tool_call_id: str | None = None
    reasoning: str | None = None
    result: ToolResultRecord | None = None

    @classmethod
    def of(cls, message: types.Message) -> Self:
        """The record of ``message``."""
        result = message.result
        return cls(
            role=message.role,
            content=message.content,
            tool_calls=[ToolCallRecord.of(call) for call in message.tool_calls],
            tool_call_id=message.tool_call_id,
            reasoning=message.reasoning,
            result=None if result is None else ToolResultRecord.of(result, message),
        )

    def restore(self) -> types.Message:
        """The message that was recorded."""
        result = self.result
        return types.Message(
            self.role,
            self.content,
            tuple(call.restore() for call in self.tool_calls),
            self.tool_call_id,
            self.reasoning,
            None if result is None else result.restore(self.tool_call_id, self.content),
        )


def _spells(raw: str, arguments: dict[str, Any] | None) -> bool:
    """Whether ``raw`` read as JSON is ``arguments``, down to key order and number types."""
    if arguments is None:
        return False
    try:
        return json.dumps(json.loads(raw)) == json.dumps(arguments)
    except (TypeError, ValueError, RecursionError):
        return False
