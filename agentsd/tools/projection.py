"""Project a tool's input schema to the strict form that a prompt or a grammar can hold.

The strict form has no references, no combinator but ``anyOf``, no keyword outside ``KEPT``, and
objects that name their properties take no others. It never asks for less than it shows: what it
accepts the original accepts too, unless a change says that a constraint was left to validation.
Deterministic. Knows nothing of servers; the original goes on to judge the calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jsonschema_specifications import REGISTRY
from referencing.jsonschema import DRAFT202012, specification_with

from agentsd.schemas import Json, check_schema
from agentsd.tools.schema_merge import all_of, any_object, folded_null
from agentsd.types import ToolSpec

CONSTRAINTS = (
    *("enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "minItems", "maxItems"),
)
"""Keywords with a plain value, which go through as they are."""

KEPT = (
    *("type", "description", "format", *CONSTRAINTS, "default"),
    *("properties", "required", "additionalProperties", "items", "anyOf"),
)
"""All keywords of the strict form, in the order in which it is written."""

FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
)
"""The formats that constrained decoders know."""

LEFT_OUT = frozenset(
    {
        *("not", "if", "dependentRequired", "dependentSchemas", "dependencies", "propertyNames"),
        *("minProperties", "maxProperties", "unevaluatedProperties", "unevaluatedItems"),
        *("uniqueItems", "contains", "$dynamicRef", "$recursiveRef"),
    }
)
"""Keywords that constrain and are not shown. All others that the strict form lacks are either
turned into its own or say nothing about which values are right."""

MAX_REPEATS = 1
"""How often a reference may stand inside what it refers to, before it is left open."""

MAX_SCHEMAS = 1000
"""Subschemas of one tool; references beyond that are left open."""


@dataclass(frozen=True, slots=True)
class Projection:
    """The strict form of one schema, and what a reader of the original would miss in it."""

    schema: Mapping[str, Any]
    changes: tuple[str, ...]
    """One line each: the place in the original, and what became of it."""


def projection(spec: ToolSpec) -> Projection:
    """The strict form of the tool's input schema.

    Raises ``ConfigError``, naming the tool and the place, for what is not valid JSON Schema.
    """
    check_schema(spec.name, spec.input_schema)
    root = dict(spec.input_schema)
    specification = specification_with(str(root.get("$schema", "")), default=DRAFT202012)
    resolver = REGISTRY.resolver_with_root(specification.create_resource(root))
    walk = _Walk()
    schema = walk.schema({"type": "object", **root}, _Place("", resolver))
    if "anyOf" in schema:
        walk.note("", f"one of {len(schema['anyOf'])} forms of arguments, read as one object")
        schema = any_object(schema)
    if "properties" not in schema and "additionalProperties" not in schema:
        schema = _ordered({**schema, "properties": {}, "additionalProperties": False})
    return Projection(schema, tuple(dict.fromkeys(walk.changes)))


def offered(spec: ToolSpec) -> ToolSpec:
    """The tool as the policy sees it: with the strict form of its schema. Raises as above."""
    return replace(spec, input_schema=projection(spec).schema)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the walk is: the pointer, what references mean there, and those it came through."""

    pointer: str
    resolver: Any
    """What ``referencing`` resolves with; it does not export the type."""
    through: tuple[str, ...] = ()

    def at(self, *parts: str) -> _Place:
        return replace(self, pointer="/".join((self.pointer, *parts)))


@dataclass(slots=True)
class _Walk:
    """One walk over one schema; notes what it leaves out."""

    changes: list[str] = field(default_factory=list[str])
    num_schemas: int = 0

    def note(self, pointer: str, change: str) -> None:
        """Remember a change."""
        self.changes.append(f"{pointer or 'arguments'}: {change}")

    def schema(self, node: object, place: _Place) -> Json:
        """The strict form of one subschema."""
        self.num_schemas += 1
        if not isinstance(node, Mapping):
            if node is False:
                self.note(place.pointer, "that no value is right is left to validation")
            return {}
        flat, place = self._flat(dict(node), place)
        union = self._union(flat, place)
        if union is not None:
            return union
        return self._plain(flat, place)

    def _flat(self, node: Json, place: _Place) -> tuple[Json, _Place]:
        """The subschema without ``$ref`` and ``allOf``, and where its own references resolve."""
        if "const" in node:
            node["enum"] = [node["const"]]
        if "$ref" in node:
            reference = str(node.pop("$ref"))
            target, place = self._resolved(reference, place)
            inner, place = self._flat(target, place)
            node = self._merged([inner, node], place)
        if "allOf" in node:
            flats = [self._flat(self._part(p, place), place)[0] for p in node.pop("allOf")]
            node = self._merged([node, *flats], place)
        return node, place

    def _resolved(self, reference: str, place: _Place) -> tuple[Json, _Place]:
        """What a reference stands for; only its type where it would go on without end."""
        found = place.resolver.lookup(reference)
        target = self._part(found.contents, place)
        is_recursive = place.through.count(reference) > MAX_REPEATS
        if is_recursive or self.num_schemas > MAX_SCHEMAS:
            why = "refers to itself" if is_recursive else "the schema is too large"
            self.note(place.pointer, f"{reference} is left open: {why}")
            target = {key: target[key] for key in ("type", "description") if key in target}
        through = (*place.through, reference)
        return target, _Place(place.pointer, found.resolver, through)

    def _part(self, node: object, place: _Place) -> Json:
        """A subschema as an object of keywords, which a boolean one is not."""
        return dict(node) if isinstance(node, Mapping) else self.schema(node, place)

    def _merged(self, parts: Sequence[Json], place: _Place) -> Json:
        merged, lost = all_of(parts)
        for keyword in lost:
            self.note(
                place.pointer, f"{keyword} stands in several parts of allOf; the first is kept"
            )
        return merged

    def _union(self, node: Json, place: _Place) -> Json | None:
        """The strict form of a union: its siblings go into each branch, which changes nothing."""
        keyword = next((key for key in ("anyOf", "oneOf") if key in node), None)
        if keyword is None:
            return None
        given = node.pop(keyword)
        branches = [branch for branch in given if branch is not False] or given[:1]
        if keyword == "oneOf":
            self.note(place.pointer, "oneOf reads as anyOf: that only one form fits is not shown")
        shown = {key: node.pop(key) for key in ("description", "default") if key in node}
        strict: list[Json] = []
        for index, branch in enumerate(branches):
            there = place.at(keyword, str(index))
            flat, inner = self._flat(self._part(branch, there), there)
            form = self.schema(self._merged([dict(node), flat], there), inner)
            if form not in strict:
                strict.append(form)
        union = strict[0] if len(strict) == 1 else folded_null({"anyOf": strict})
        return _ordered({**union, **shown})

    def _plain(self, node: Json, place: _Place) -> Json:
        """The strict form of a subschema without combinators."""
        strict: Json = {key: node[key] for key in CONSTRAINTS if key in node}
        strict |= _annotations(node)
        if (kind := _type(node)) is not None:
            strict["type"] = kind
        if node.get("format") in FORMATS:
            strict["format"] = node["format"]
        elif "format" in node:
            self.note(place.pointer, f"format {node['format']!r} is left to validation")
        self._draft_4(strict)
        self._object(node, strict, place)
        self._array(node, strict, place)
        for keyword in node:
            if keyword in LEFT_OUT:
                self.note(place.pointer, f"{keyword} is left to validation")
        return _ordered(strict)

    def _draft_4(self, strict: Json) -> None:
        """``exclusiveMinimum: true`` makes ``minimum`` exclusive, in the oldest draft."""
        for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            flag = strict.get(exclusive)
            if isinstance(flag, bool):
                del strict[exclusive]
                if flag and plain in strict:
                    strict[exclusive] = strict.pop(plain)

    def _object(self, node: Json, strict: Json, place: _Place) -> None:
        given: Json = node.get("properties", {})
        properties = {
            name: self.schema(child, place.at("properties", name))
            for name, child in given.items()
            if child is not False
        }
        if len(properties) < len(given) and node.get("additionalProperties", False) is not False:
            self.note(place.pointer, "which names are refused is left to validation")
        if "properties" in node:
            strict["properties"] = properties
        required = list(dict.fromkeys(node.get("required", ())))
        if required:
            strict["required"] = required
        rest = self._others(node, place)
        if rest is not None:
            strict["additionalProperties"] = rest
        elif "properties" in node:
            strict["additionalProperties"] = False

    def _others(self, node: Json, place: _Place) -> Json | bool | None:
        """What the original says about properties that it does not name, or None."""
        patterns: Mapping[str, Any] = node.get("patternProperties", {})
        others = node.get("additionalProperties")
        if patterns:
            self.note(
                place.pointer, "patternProperties: the pattern of names is left to validation"
            )
            if len(patterns) == 1 and not others:
                (pattern, child), *_ = patterns.items()
                return self.schema(child, place.at("patternProperties", pattern))
            return True
        if isinstance(others, Mapping):
            return self.schema(others, place.at("additionalProperties"))
        return others

    def _array(self, node: Json, strict: Json, place: _Place) -> None:
        items, heads = node.get("items"), node.get("prefixItems")
        if isinstance(items, list):  # how older drafts write a tuple
            items, heads = node.get("additionalItems"), items
        forms: list[Json] = []
        if isinstance(items, Mapping):
            forms.append(self.schema(items, place.at("items")))
        for index, head in enumerate(heads or ()):
            form = self.schema(head, place.at("prefixItems", str(index)))
            forms += [] if form in forms else [form]
        if items is False:
            most = len(heads or ())
            strict["maxItems"] = min(most, strict.get("maxItems", most))
        if heads:
            self.note(place.pointer, "which item has which form is left to validation")
            if items in (None, True) and node.get("maxItems", len(heads) + 1) > len(heads):
                return  # anything may follow
        if forms:
            strict["items"] = forms[0] if len(forms) == 1 else {"anyOf": forms}


def _type(node: Json) -> str | list[str] | None:
    """The type, also where only keywords of one type imply it."""
    if "type" in node:
        kinds = node["type"]
        return kinds[0] if isinstance(kinds, list) and len(kinds) == 1 else kinds
    if "properties" in node:
        return "object"
    return "array" if "items" in node or "prefixItems" in node else None


def _annotations(node: Json) -> Json:
    return {key: node[key] for key in ("description", "default") if key in node}


def _ordered(schema: Json) -> Json:
    return {key: schema[key] for key in KEPT if key in schema}


def report(specs: Iterable[ToolSpec]) -> Mapping[str, Sequence[str]]:
    """What projection changes in each tool that it changes. Raises as ``projection`` does."""
    changes = {spec.name: projection(spec).changes for spec in specs}
    return {name: lines for name, lines in changes.items() if lines}
