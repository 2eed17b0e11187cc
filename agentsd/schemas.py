"""JSON Schema in one place: is a tool's schema usable, and what is wrong with a call's arguments.

Knows nothing of tools that run, of critics or of text. Never fetches a remote ``$ref``.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError as InvalidSchema
from jsonschema.exceptions import UnknownType, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from jsonschema_specifications import REGISTRY
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with

from agentsd.errors import ConfigError
from agentsd.types import ToolSpec

Json = dict[str, Any]
Kind = Literal["missing", "unexpected", "value"]

KINDS: tuple[Kind, ...] = ("missing", "unexpected", "value")
"""In the order in which they are reported."""

DATA_KEYWORDS = frozenset({"const", "default", "enum", "examples"})
"""Keywords whose value is data, so that a ``$ref`` inside is not a reference."""

MAX_DETAIL = 200
"""Characters of a message that may quote what the policy wrote."""


@dataclass(frozen=True, slots=True)
class SchemaError:
    """The first thing that is wrong with the arguments of a call."""

    kind: Kind
    argument: str
    """The property at fault; empty when it is the arguments object itself."""
    pointer: str
    """JSON pointer into the arguments; for a missing argument, where it should stand."""
    schema: Mapping[str, Any]
    """What the value at ``pointer`` should satisfy; empty when the schema does not say."""
    message: str
    """One line, stable for the same schema and arguments."""


def check_schema(tool_name: str, schema: Mapping[str, Any]) -> None:
    """Refuse an input schema that cannot be used. Raises ``ConfigError`` in one line."""
    try:
        problem = _schema_problem(json.dumps(dict(schema)))
    except TypeError as error:
        raise ConfigError(f"tool {tool_name}: the input schema is not JSON: {error}") from error
    if problem is not None:
        raise ConfigError(f"tool {tool_name}: the input schema {problem}")


def first_schema_error(spec: ToolSpec, arguments: Mapping[str, Any]) -> SchemaError | None:
    """The first error: missing arguments in schema order, then unexpected ones, then values.

    Values are reported in the order in which the policy wrote them. Raises ``ConfigError`` when
    the schema itself cannot be used, which ``check_schema`` tells beforehand.
    """
    instance = dict(arguments)
    rows: list[tuple[int, tuple[int, ...], int, SchemaError]] = []
    try:
        for order, raw in enumerate(_validator(spec.input_schema).iter_errors(instance)):
            error, place = _described(raw, instance)
            rows.append((KINDS.index(error.kind), place, order, error))
    except (UnknownType, Unresolvable, re.error) as error:
        check_schema(spec.name, spec.input_schema)
        raise ConfigError(f"tool {spec.name}: the input schema cannot be used: {error}") from error
    return min(rows)[-1] if rows else None


def _validator(schema: Mapping[str, Any]) -> Validator:
    """A validator that answers references from the schema and the standards only."""
    cls = validator_for(schema, default=Draft202012Validator)
    return cls(schema, registry=REGISTRY)


@functools.lru_cache(maxsize=1024)
def _schema_problem(text: str) -> str | None:
    """What is wrong with a schema. Remembered, because every episode asks and it takes 3 ms."""
    schema: Json = json.loads(text)
    if (kind := schema.get("type", "object")) != "object":
        return f"must describe an object, not {kind}"
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except InvalidSchema as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its root"
        return f"is not valid JSON Schema at {where}: {_bounded(error.message)}"
    reference = _dangling_reference(schema)
    return reference and f"refers to {reference!r}, which it does not hold"


def _dangling_reference(schema: Json) -> str | None:
    specification = specification_with(str(schema.get("$schema", "")), default=DRAFT202012)
    resolver = REGISTRY.resolver_with_root(specification.create_resource(schema))
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            return reference
    return None


def _references(node: object) -> Iterator[str]:
    """Every ``$ref`` below the node, except inside data and inside schemas with their own base."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for key, child in node.items():
            has_own_base = isinstance(child, dict) and isinstance(child.get("$id"), str)
            if key not in DATA_KEYWORDS and not has_own_base:
                yield from _references(child)


def _described(error: ValidationError, instance: object) -> tuple[SchemaError, tuple[int, ...]]:
    """What to report for an error of the validator, and where it stands in the instance."""
    cause = _cause(error)
    path = list(cause.absolute_path)
    place = _positions(instance, path)
    if cause.validator == "required":
        return _missing(cause, path), place
    if cause.validator in ("additionalProperties", "unevaluatedProperties"):
        return _unexpected(cause, path), place
    return _value(cause, path), place


def _cause(error: ValidationError) -> ValidationError:
    """Inside a union, the first error of the one branch that the value can have meant."""
    while error.validator in ("anyOf", "oneOf") and error.context:
        branches: dict[str | int, ValidationError] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], inner)
        meant = [first for first in branches.values() if not _is_other_kind(first)]
        if len(meant) != 1:
            break
        error = meant[0]
    return error


def _is_other_kind(error: ValidationError) -> bool:
    """Whether a branch was left because the value is of another type altogether."""
    return error.validator in ("type", "const", "enum") and not error.path


def _missing(error: ValidationError, path: list[str | int]) -> SchemaError:
    required, instance = cast("list[str]", error.validator_value), cast(Json, error.instance)
    name = next(name for name in required if name not in instance)
    return SchemaError(
        kind="missing",
        argument=name,
        pointer=_pointer([*path, name]),
        schema=_subschema(error.schema, name),
        message=f"missing required argument {name!r}{_inside(path)}",
    )


def _unexpected(error: ValidationError, path: list[str | int]) -> SchemaError:
    name = next(_refused_names(error), "")
    return SchemaError(
        kind="unexpected",
        argument=name,
        pointer=_pointer([*path, name]),
        schema={},
        message=f"unexpected argument {_bounded(repr(name))}{_inside(path)}",
    )


def _value(error: ValidationError, path: list[str | int]) -> SchemaError:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    subject = f"argument {'.'.join(str(part) for part in path)!r}" if path else "arguments"
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    return SchemaError(
        kind="value",
        argument=name,
        pointer=_pointer(path),
        schema=schema,
        message=f"{subject}: {_bounded(_complaint(error, schema))}",
    )


def _refused_names(error: ValidationError) -> Iterator[str]:
    """The properties that the object may not have, in the order in which they were written."""
    schema = cast(Json, error.schema)
    for name in cast(Json, error.instance):
        is_known = name in schema.get("properties", {}) or any(
            re.search(pattern, name) for pattern in schema.get("patternProperties", {})
        )
        # What a sibling keyword has evaluated only the validator knows; it quotes the rest.
        is_named = error.validator == "additionalProperties" or repr(name) in error.message
        if is_named and not is_known:
            yield name


def _complaint(error: ValidationError, schema: Mapping[str, Any]) -> str:
    """The validator's sentence; a union of plain types reads as one list of types."""
    union = schema.get(str(error.validator)) if error.validator in ("anyOf", "oneOf") else None
    types = [branch.get("type") for branch in union or () if isinstance(branch, Mapping)]
    if types and all(isinstance(name, str) for name in types):
        return f"{error.instance!r} is not of type {', '.join(map(repr, types))}"
    return error.message


def _subschema(schema: object, name: str) -> Mapping[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    found = schema.get("properties", {}).get(name, {})
    return found if isinstance(found, Mapping) else {}


def _positions(instance: object, path: list[str | int]) -> tuple[int, ...]:
    """How far into each level the path goes, so that errors sort as the arguments were written."""
    places: list[int] = []
    for part in path:
        if isinstance(instance, dict):
            places.append(list(instance).index(part))
            instance = instance[part]
        elif isinstance(instance, list) and isinstance(part, int):
            places.append(part)
            instance = instance[part]
    return tuple(places)


def _pointer(path: list[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _inside(path: list[str | int]) -> str:
    return f" in {'.'.join(str(part) for part in path)!r}" if path else ""


def _bounded(text: str) -> str:
    """One line; a long one loses its middle, because the reason stands at the end."""
    line = " ".join(text.split())
    if len(line) <= MAX_DETAIL:
        return line
    half = MAX_DETAIL // 2
    return f"{line[:half]} ... {line[-half:]}"
