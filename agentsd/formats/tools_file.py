"""Read tool definitions: OpenAI functions, or MCP tools as a server lists them.

Knows nothing of trajectories.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentsd.errors import ConfigError, DataError
from agentsd.formats.json_values import read_values
from agentsd.schemas import check_schema
from agentsd.types import ToolSpec

SCHEMA_KEYS = ("parameters", "inputSchema", "input_schema")
"""What OpenAI, MCP and Anthropic call the schema of the arguments."""

READ_ONLY_KEYS = ("readOnlyHint", "read_only_hint")

NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}


def read_tools(path: Path | str) -> tuple[ToolSpec, ...]:
    """The tools of a JSON file: a list of definitions, ``{"tools": [...]}``, or one a line.

    Raises ``DataError`` for what is no definition, for an unusable schema and for a name that
    comes twice.
    """
    path = Path(path)
    values = [value for _, value in read_values(path)]
    if len(values) == 1 and isinstance(values[0], dict) and "tools" in values[0]:
        values = values[0]["tools"]
    return tool_specs(values, str(path))


def tool_specs(values: object, where: str) -> tuple[ToolSpec, ...]:
    """The tools that a list of definitions describes. Raises ``DataError`` naming ``where``."""
    if not isinstance(values, list):
        raise DataError(f"{where}: tools must be a list, got {type(values).__name__}")
    specs = [tool_spec(value, f"{where}: tool {index}") for index, value in enumerate(values)]
    names = [spec.name for spec in specs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(f"{where}: tool {min(twice)} is defined twice")
    return tuple(specs)


def tool_spec(value: object, where: str) -> ToolSpec:
    """The tool that one definition describes. Raises ``DataError`` naming ``where``."""
    body = value.get("function", value) if isinstance(value, dict) else value
    if not isinstance(body, dict) or not isinstance(body.get("name"), str) or not body["name"]:
        raise DataError(f"{where}: no name; expected an OpenAI function or an MCP tool")
    schema = next((body[key] for key in SCHEMA_KEYS if body.get(key) is not None), NO_ARGUMENTS)
    if not isinstance(schema, dict):
        raise DataError(f"{where}: the schema of {body['name']} is not a JSON object")
    try:
        check_schema(body["name"], schema)
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from error
    description = body.get("description")
    return ToolSpec(
        name=body["name"],
        description=description if isinstance(description, str) else "",
        input_schema=schema,
        read_only=_is_read_only(body),
    )


def _is_read_only(body: Mapping[str, Any]) -> bool:
    annotations = body.get("annotations")
    if not isinstance(annotations, dict):
        return False
    return any(annotations.get(key) is True for key in READ_ONLY_KEYS)
