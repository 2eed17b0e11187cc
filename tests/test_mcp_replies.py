"""What an MCP server says, translated without any connection."""

from __future__ import annotations

import pytest
from mcp import MCPError
from mcp_types import (
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from agentsd.tools.mcp_replies import reply_of, reply_of_error
from agentsd.types import ToolCall


def test_content_that_is_not_text_becomes_a_short_placeholder():
    reply = CallToolResult(
        content=[
            TextContent(text="See:"),
            ImageContent(data="AAAA", mime_type="image/png"),
            EmbeddedResource(resource=TextResourceContents(uri="file:///a.txt", text="the text")),
            EmbeddedResource(resource=BlobResourceContents(uri="file:///b.bin", blob="AAAA")),
        ]
    )
    result = reply_of(ToolCall("c1", "show", ""), reply, is_listed=True)
    assert result.content == (
        "See:\n[image: image/png, 3 bytes]\nthe text\n[resource: file:///b.bin, binary]"
    )


def test_a_reply_with_only_structured_content_is_json_text():
    reply = CallToolResult(content=[], structured_content={"books": ["Emma"]})
    result = reply_of(ToolCall("c1", "list", ""), reply, is_listed=True)
    assert (result.content, result.structured) == ('{"books":["Emma"]}', {"books": ["Emma"]})


@pytest.mark.parametrize(
    ("code", "error_class"),
    [(-32602, "policy"), (-32002, "tool"), (-32603, None), (-32000, None), (-32001, None)],
)
def test_a_protocol_error_is_a_value_unless_the_server_failed(code: int, error_class: str | None):
    refusal = reply_of_error(ToolCall("c1", "x", ""), MCPError(code, "no"), is_listed=True)
    assert (refusal and refusal.error_class) == error_class
