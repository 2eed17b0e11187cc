"""The functions of BFCL as tools: their documents as JSON Schema, their answers as results.

Knows nothing of tasks or grades.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentsd.types import ToolCall, ToolResult, ToolSpec
from agentsd_envs.bfcl.source import FunctionDoc
from agentsd_envs.bfcl.world import World

JSON_TYPES: Mapping[str, str] = {"dict": "object", "float": "number", "tuple": "array"}
"""What the documents call by another name, as ``GORILLA_TO_OPENAPI`` of the package."""


@dataclass(frozen=True, slots=True)
class ApiTool:
    """One function of one world. Implements ``Tool``."""

    spec: ToolSpec
    world: World
    answers: list[str]
    """Grows by what every call was answered; the episode's grade reads it."""

    async def run(self, call: ToolCall) -> ToolResult:
        """Run the function. An answer that is an error is the tool's own refusal."""
        answer = self.world.run(call.name, call.arguments or {})
        self.answers.append(answer)
        is_error = is_refusal(answer)
        return ToolResult(
            call.id, answer, is_error=is_error, error_class="tool" if is_error else None
        )


def spec_of(document: FunctionDoc) -> ToolSpec:
    """The function as it is offered; arguments that it does not name are refused."""
    schema = _json_schema(document.parameters) | {"additionalProperties": False}
    return ToolSpec(document.name, document.description, schema)


def is_refusal(answer: str) -> bool:
    """Whether the API said no: an exception, or an object with ``error``."""
    if answer.startswith("Error during execution:"):
        return True
    try:
        value = json.loads(answer)
    except ValueError:
        return False
    return isinstance(value, dict) and "error" in value


def _json_schema(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the type names of JSON Schema, at every depth."""
    schema: dict[str, Any] = {}
    for key, value in document.items():
        if key == "type":
            schema[key] = JSON_TYPES.get(value, value)
        elif key == "properties":
            schema[key] = {name: _json_schema(inner) for name, inner in value.items()}
        elif key == "items":
            schema[key] = _json_schema(value)
        else:
            schema[key] = value
    return schema
