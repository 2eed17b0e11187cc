"""Put JSON Schemas together: all of several parts, or one object for several forms.

Pure; resolves nothing, so that parts hold no ``$ref``. Knows nothing of tools.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentsd.schemas import Json

ANNOTATIONS = frozenset({"description", "default", "title", "examples", "$comment", "deprecated"})
"""Said of a value, not asked of it: the last one wins."""

TIGHTER: Mapping[str, Callable[[Any, Any], Any]] = {
    "minimum": max,
    "exclusiveMinimum": max,
    "minLength": max,
    "minItems": max,
    "minProperties": max,
    "maximum": min,
    "exclusiveMaximum": min,
    "maxLength": min,
    "maxItems": min,
    "maxProperties": min,
}


def all_of(parts: Sequence[Json]) -> tuple[Json, list[str]]:
    """One schema for all parts together, and the keywords that it could not put together.

    An open part that meets a closed one may not bring properties of its own: they would be refused.
    """
    merged: Json = {}
    lost: list[str] = []
    for part in parts:
        merged = _both(merged, part, lost) if merged else dict(part)
    return merged, lost


def _both(first: Json, second: Json, lost: list[str]) -> Json:
    merged = dict(first)
    for keyword, value in second.items():
        if keyword not in merged or keyword in ANNOTATIONS:
            merged[keyword] = value
        elif merged[keyword] != value:
            merged[keyword] = _one(keyword, merged[keyword], value, lost)
    if "properties" in merged:
        merged["properties"] = {
            name: child
            for name, child in merged["properties"].items()
            if not _refuses(first, name) and not _refuses(second, name)
        }
    return merged


def _refuses(schema: Json, name: str) -> bool:
    """Whether the object is closed and does not name the property."""
    is_closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    return is_closed and name not in schema.get("properties", {})


def _one(keyword: str, first: Any, second: Any, lost: list[str]) -> Any:
    """One value of a keyword that both parts use."""
    if keyword == "properties":
        return _properties(first, second)
    if keyword in TIGHTER and bool not in (type(first), type(second)):
        return TIGHTER[keyword](first, second)
    if keyword == "required":
        return list(dict.fromkeys([*first, *second]))
    if keyword == "enum":
        common = [value for value in first if value in second]
    elif keyword == "type":
        common = _types(first, second)
    else:
        common = None
    if common:
        return common
    if keyword == "items" and isinstance(first, Mapping) and isinstance(second, Mapping):
        return {"allOf": [first, second]}
    if keyword == "additionalProperties" and (first is False or second is False):
        return False
    lost.append(keyword)
    return first


def _properties(first: Json, second: Json) -> Json:
    """Both sets of properties; one that stands in both must satisfy both."""
    merged = dict(first)
    for name, child in second.items():
        both = name in merged and merged[name] != child
        merged[name] = {"allOf": [merged[name], child]} if both else child
    return merged


def _types(first: Any, second: Any) -> list[str]:
    """The types that both allow; an integer is a number."""
    left = [first] if isinstance(first, str) else list(first)
    right = [second] if isinstance(second, str) else list(second)
    common = [kind for kind in left if kind in right or (kind == "integer" and "number" in right)]
    common += ["integer"] if "number" in left and "integer" in right else []
    return list(dict.fromkeys(common))


def any_object(schema: Json) -> Json:
    """One object that takes what any branch takes: properties of all, required where all ask."""
    branches: list[Json] = [
        any_object(branch) if "anyOf" in branch else branch for branch in schema["anyOf"]
    ]
    properties: Json = {}
    for branch in branches:
        for name, child in branch.get("properties", {}).items():
            known = properties.get(name, child)
            forms = [*known.get("anyOf", [known])]
            forms += [] if child in forms else [child]
            properties[name] = forms[0] if len(forms) == 1 else {"anyOf": forms}
    required = [name for name in properties if all(name in b.get("required", ()) for b in branches)]
    merged: Json = {"type": "object", "properties": properties}
    for key in ("description", "default"):
        if key in schema:
            merged[key] = schema[key]
    if required:
        merged["required"] = required
    is_closed = all(branch.get("additionalProperties") is False for branch in branches)
    merged["additionalProperties"] = not is_closed
    return merged


def folded_null(union: Json) -> Json:
    """``anyOf`` of one plain type and null as one type list, which says the same."""
    nulls = [branch for branch in union["anyOf"] if branch == {"type": "null"}]
    others = [branch for branch in union["anyOf"] if branch != {"type": "null"}]
    if not nulls or len(others) != 1 or "enum" in others[0] or "anyOf" in others[0]:
        return union
    kind = others[0].get("type")
    if not isinstance(kind, str) or kind == "null":
        return union
    return {**others[0], "type": [kind, "null"]}
