"""What an OpenEnv episode offers as tools: its MCP tools, or its action as one tool.

The reward is collected and never shown. Knows nothing of tasks or connections.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from agentsd.errors import InfraError
from agentsd.interfaces import Tool
from agentsd.tools.results import refused
from agentsd.types import ErrorClass, ToolCall, ToolResult, ToolSpec
from agentsd_envs.openenv.session import Observed, Refused, Session

STEP = "step"
"""Name of the one tool of an environment without MCP tools."""

INVALID_PARAMS = -32602

ERROR_CLASSES: Mapping[str, ErrorClass] = {
    "invalid_args": "policy",
    "tool_not_found": "policy",
    "timeout": "timeout",
    "execution_error": "tool",
}
"""``ToolErrorType`` of the protocol; a ``transport_error`` is the server's own trouble."""


@dataclass(slots=True)
class Progress:
    """What the server said about the episode so far."""

    rewards: list[float] = field(default_factory=list[float])
    is_done: bool = False

    def note(self, observed: Observed) -> None:
        """Remember the reward and whether the episode is over."""
        if observed.reward is not None:
            self.rewards.append(observed.reward)
        self.is_done = self.is_done or observed.done


@dataclass(frozen=True, slots=True)
class ActionTool:
    """Acts by ``step``; its arguments are the fields of the action. Implements ``Tool``."""

    spec: ToolSpec
    session: Session
    progress: Progress

    async def run(self, call: ToolCall) -> ToolResult:
        """Send the action. Raises ``InfraError``."""
        if self.progress.is_done:
            return over(call)
        try:
            observed = await self.session.step(call.arguments or {})
        except Refused as error:
            fault = "policy" if error.code == "VALIDATION_ERROR" else "tool"
            return refused(call, str(error), fault)
        except TimeoutError:
            return late(call)
        self.progress.note(observed)
        return ToolResult(call.id, text_of(observed), structured=shown(observed))


class Content(BaseModel):
    """One block of an MCP result; blocks that are not text are named only."""

    type: str
    text: str | None = None


class McpResult(BaseModel):
    """The result of an MCP tool, as the server serializes it."""

    content: list[Content] = []
    structured_content: Any = Field(
        default=None, validation_alias=AliasChoices("structured_content", "structuredContent")
    )
    is_error: bool = Field(default=False, validation_alias=AliasChoices("is_error", "isError"))

    def result_of(self, call: ToolCall) -> ToolResult:
        """The result in our terms."""
        blocks = [
            block.text if block.text is not None else f"[{block.type}]" for block in self.content
        ]
        text = "\n".join(blocks)
        if not blocks and self.structured_content is not None:
            text = json.dumps(self.structured_content)
        fault = "tool" if self.is_error else None
        return ToolResult(call.id, text, self.structured_content, self.is_error, fault)


class McpFault(BaseModel):
    """Why an MCP tool gave no result."""

    error_type: str
    message: str


class McpObservation(BaseModel):
    """The observation of a step that called a tool."""

    result: McpResult | None = None
    error: McpFault | None = None


@dataclass(frozen=True, slots=True)
class McpTool:
    """An MCP tool of the environment. Implements ``Tool``."""

    spec: ToolSpec
    session: Session
    progress: Progress
    by_step: bool
    """Whether the environment takes tool calls as actions, which gives a reward; else they go to
    its MCP server directly."""

    async def run(self, call: ToolCall) -> ToolResult:
        """Send the call. Raises ``InfraError``."""
        if self.progress.is_done:
            return over(call)
        try:
            return await (self._step(call) if self.by_step else self._rpc(call))
        except TimeoutError:
            return late(call)
        except ValidationError as error:
            raise InfraError(f"tool {call.name}: not an MCP result: {error}") from error

    async def _step(self, call: ToolCall) -> ToolResult:
        action = {
            "type": "call_tool",
            "tool_name": call.name,
            "arguments": dict(call.arguments or {}),
        }
        try:
            observed = await self.session.step(action)
        except Refused as error:
            return refused(call, str(error), "tool")
        self.progress.note(observed)
        said = McpObservation.model_validate(observed.observation)
        if said.error is None:
            return (said.result or McpResult()).result_of(call)
        if said.error.error_type not in ERROR_CLASSES:
            raise InfraError(f"tool {call.name}: {said.error.error_type}: {said.error.message}")
        return refused(call, said.error.message, ERROR_CLASSES[said.error.error_type])

    async def _rpc(self, call: ToolCall) -> ToolResult:
        params = {"name": call.name, "arguments": dict(call.arguments or {})}
        try:
            result = await self.session.rpc("tools/call", params)
        except Refused as error:
            return refused(call, str(error), "policy" if error.code == INVALID_PARAMS else "tool")
        return McpResult.model_validate(result).result_of(call)


class ListedTool(BaseModel):
    """One tool of ``tools/list``; servers write the schema's name in two ways."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any] = Field(
        validation_alias=AliasChoices("inputSchema", "input_schema", "parameters")
    )


class Listing(BaseModel):
    """The result of ``tools/list``."""

    tools: list[ListedTool]


async def tools_of(
    session: Session, action: Mapping[str, Any], progress: Progress
) -> Sequence[Tool]:
    """The environment's MCP tools, else one tool for its action. Raises ``InfraError``."""
    by_step = "tool_name" in action.get("properties", {})
    try:
        listing = Listing.model_validate(await session.rpc("tools/list", {}))
    except Refused as error:
        if by_step:
            raise InfraError(f"the environment lists no tools: {error}") from error
        return [ActionTool(action_spec(action), session, progress)]
    except (ValidationError, TimeoutError) as error:
        raise InfraError(f"the environment's list of tools: {error or 'no answer'}") from error
    return [
        McpTool(
            ToolSpec(each.name, each.description or "", each.input_schema),
            session,
            progress,
            by_step,
        )
        for each in listing.tools
    ]


def action_spec(action: Mapping[str, Any]) -> ToolSpec:
    """The action as a tool, without the ``metadata`` that every action may carry."""
    fields = action.get("properties", {})
    properties = {name: each for name, each in fields.items() if name != "metadata"}
    schema = {**action, "properties": properties}
    description = schema.pop("description", "") or "Act in the environment."
    schema.pop("title", None)
    return ToolSpec(STEP, description, schema)


def shown(observed: Observed) -> dict[str, Any]:
    """What the policy may see: the observation without metadata, and whether all is over."""
    fields = {name: each for name, each in observed.observation.items() if name != "metadata"}
    return fields | ({"done": True} if observed.done else {})


def text_of(observed: Observed) -> str:
    """``shown`` as JSON."""
    return json.dumps(shown(observed), ensure_ascii=False)


def over(call: ToolCall) -> ToolResult:
    """The reply to a call after the end."""
    return refused(call, "the episode is over", "tool")


def late(call: ToolCall) -> ToolResult:
    """The reply to a call that missed its deadline."""
    return refused(call, f"{call.name} did not answer in time", "timeout")
