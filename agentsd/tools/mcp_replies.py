"""What an MCP server says, in the terms of ``types``. Pure; knows nothing of connections."""

from __future__ import annotations

from mcp import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
    UNSUPPORTED_PROTOCOL_VERSION,
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic_core import to_json

from agentsd.tools.results import refused
from agentsd.types import ToolCall, ToolResult, ToolSpec

INFRA_CODES = frozenset(
    {
        CONNECTION_CLOSED,
        HEADER_MISMATCH,
        INTERNAL_ERROR,
        INVALID_REQUEST,
        METHOD_NOT_FOUND,
        PARSE_ERROR,
        REQUEST_TIMEOUT,
        UNSUPPORTED_PROTOCOL_VERSION,
    }
)
"""The connection or the server failed, not the call."""

TYPESCRIPT_REFUSAL = f"MCP error {INVALID_PARAMS}"
"""How TypeScript servers begin a refusal that Python servers send as a protocol error."""


def spec_of(listed: Tool) -> ToolSpec:
    """The tool as it is offered; its input schema stays as the server wrote it."""
    read_only = listed.annotations is not None and listed.annotations.read_only_hint is True
    return ToolSpec(listed.name, listed.description or "", dict(listed.input_schema), read_only)


def reply_of(call: ToolCall, reply: CallToolResult, *, is_listed: bool) -> ToolResult:
    """The server's reply. A refusal is the tool's own, unless it says that the call was wrong."""
    content = "\n".join(_text(block) for block in reply.content)
    if not reply.content and reply.structured_content is not None:
        content = to_json(reply.structured_content).decode()
    if not reply.is_error:
        return ToolResult(call.id, content, structured=reply.structured_content)
    if not is_listed:
        return refused(call, f"unknown tool {call.name}", "policy")
    error_class = "policy" if content.startswith(TYPESCRIPT_REFUSAL) else "tool"
    return ToolResult(call.id, content, reply.structured_content, True, error_class)


def reply_of_error(call: ToolCall, error: MCPError, *, is_listed: bool) -> ToolResult | None:
    """The protocol error as a value, or None when it says nothing about the call."""
    if error.code in INFRA_CODES:
        return None
    if error.code == INVALID_PARAMS:
        problem = error.message if is_listed else f"unknown tool {call.name}"
        return refused(call, problem, "policy")
    return refused(call, error.message, "tool")


def _text(block: ContentBlock) -> str:
    """The block as text; what is not text becomes a short placeholder."""
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.type}: {block.mime_type}, {len(block.data) * 3 // 4} bytes]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text
        case EmbeddedResource():
            return f"[resource: {block.resource.uri}, {block.resource.mime_type or 'binary'}]"
        case _:
            return f"[resource: {block.uri}]"
