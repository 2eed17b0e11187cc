"""Give plain-text argument values the type their JSON Schema declares.

A value that does not fit stays text, so that the schema check of the environment says no.
Knows nothing of how the text was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentsd.toolcalls.draft import Problem
from agentsd.toolcalls.jsonscan import read_value
from agentsd.types import ToolSpec

PYTHON_WORDS = {"True": True, "False": False, "None": None}
"""Templates print Python values, so models write them too."""

MAX_REFS = 8


def typed_value(raw: str, types: frozenset[str]) -> Any:
    """``raw`` as one of ``types``, else unchanged. Without types, what it is as JSON.

    >>> typed_value("5", frozenset({"integer"})), typed_value("5", frozenset({"string"}))
    (5, '5')
    """
    value = _plain_value(raw)
    if isinstance(value, str):
        return raw
    if "string" in types and value is not None:
        return raw
    return value if not types or types & _types_of_value(value) else raw


def declared_types(tools: Sequence[ToolSpec], tool: str, argument: str) -> frozenset[str]:
    """The JSON types the tool's schema allows for the argument; none when it does not say."""
    spec = next((spec for spec in tools if spec.name == tool), None)
    properties = spec.input_schema.get("properties") if spec else None
    schema = properties.get(argument) if isinstance(properties, Mapping) else None
    return _types(schema, spec.input_schema, MAX_REFS) if spec else frozenset()


def _types(schema: Any, root: Mapping[str, Any], depth: int) -> frozenset[str]:
    """Collect types through references and alternatives, at most ``depth`` deep."""
    if not isinstance(schema, Mapping) or depth == 0:
        return frozenset()
    if "$ref" in schema:
        return _types(_resolve(schema["$ref"], root), root, depth - 1)
    declared = schema.get("type", ())
    found = frozenset([declared] if isinstance(declared, str) else _strings(declared))
    for key in ("anyOf", "oneOf", "allOf"):
        for part in schema[key] if isinstance(schema.get(key), list) else ():
            found |= _types(part, root, depth - 1)
    options = schema.get("enum")
    if not found and isinstance(options, list):
        return frozenset().union(*(_types_of_value(option) for option in options))
    return found


def _resolve(reference: Any, root: Mapping[str, Any]) -> Any:
    """What a local reference such as ``#/$defs/Point`` points to, or None."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    node: Any = root
    for step in reference[2:].split("/"):
        node = node.get(step) if isinstance(node, Mapping) else None
    return node


def _strings(values: Any) -> list[str]:
    if not isinstance(values, (list, tuple)):
        return []
    return [value for value in values if isinstance(value, str)]


def _plain_value(raw: str) -> Any:
    """``raw`` read as JSON or as a Python word; itself when it is neither."""
    word = raw.strip()
    if word in PYTHON_WORDS:
        return PYTHON_WORDS[word]
    read = read_value(word, 0)
    return raw if isinstance(read, Problem) or read[1] != len(word) else read[0]


def _types_of_value(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset({"null"})
    names: dict[type, tuple[str, ...]] = {
        bool: ("boolean",),
        int: ("integer", "number"),
        float: ("number",),
        str: ("string",),
        list: ("array",),
        dict: ("object",),
    }
    return frozenset(names.get(type(value), ()))
