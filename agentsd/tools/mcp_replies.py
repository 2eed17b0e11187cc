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

REFUSALS = (f"MCP error {INVALID_PARAMS}", "Input validation error: ")
"""How TypeScript servers, and older Python ones, begin a refusal of the arguments."""

UNKNOWN_TOOL = "unknown tool"


def spec_of(listed: Tool) -> ToolSpec:
    """The tool as it is offered; its input schema stays as the server wrote it."""
    read_only = listed.annotations is not None and listed.annotations.read_only_hint is True
    return ToolSpec(listed.name, listed.description or "", dict(listed.input_schema), read_only)


def reply_of(call: ToolCall, reply: CallToolResult, *, is_listed: bool) -> ToolResult:
    """The server's reply. A refusal is the tool's own, unless it says that the call was wrong.

    Some servers send a refusal as a success. It is read as what it says where its wording belongs
    to the protocol's own libraries; a text that only begins with ``Error`` may be what was asked
    for, and stays a success.
    """
    content = "\n".join(_text(block) for block in reply.content)
    if not reply.content and reply.structured_content is not None:
        content = to_json(reply.structured_content).decode()
    if not reply.is_error and not _is_refusal(call, content, reply):
        return ToolResult(call.id, content, structured=reply.structured_content)
    if not is_listed:
        return refused(call, f"{UNKNOWN_TOOL} {call.name}", "policy")
    error_class = "policy" if content.startswith(REFUSALS) else "tool"
    return ToolResult(call.id, content, reply.structured_content, True, error_class)


def _is_refusal(call: ToolCall, content: str, reply: CallToolResult) -> bool:
    """Whether a success is a library's own sentence about a call that failed."""
    sentences = (
        *REFUSALS,
        f"Error executing tool {call.name}: ",
        f"Unknown tool: {call.name}",
        f"Tool {call.name} not found",
    )
    return reply.structured_content is None and content.startswith(sentences)


def may_be_unknown(result: ToolResult) -> bool:
    """Whether a refusal may mean that the server has no such tool, or not in that form."""
    text = result.content[:200].lower()
    return result.error_class == "policy" or UNKNOWN_TOOL in text or "not found" in text


def reply_of_error(call: ToolCall, error: MCPError, *, is_listed: bool) -> ToolResult | None:
    """The protocol error as a value, or None when it says nothing about the call."""
    if error.code in INFRA_CODES:
        return None
    if error.code == INVALID_PARAMS:
        problem = error.message if is_listed else f"{UNKNOWN_TOOL} {call.name}"
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
