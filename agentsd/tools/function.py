"""Turn a typed Python function into a tool: annotations are the schema, the docstring is the text.

>>> from typing import Literal
>>> @tool
... def convert(amount: float, to: Literal["EUR", "USD"] = "EUR") -> str:
...     "Convert an amount of Swiss francs."
...     return f"{amount * 1.04:.2f} {to}"
>>> convert.spec.input_schema["properties"]["to"]
{'enum': ['EUR', 'USD'], 'type': 'string', 'default': 'EUR'}

Knows nothing of environments, episodes or tasks.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, get_type_hints, overload

import anyio
import anyio.to_thread
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python
from typing_extensions import TypedDict

from agentsd.errors import ConfigError, InfraError
from agentsd.schemas import check_schema
from agentsd.tools.results import refused
from agentsd.types import ToolCall, ToolResult, ToolSpec

CALL_S = 30.0
"""Default deadline of one call."""

NAMED_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ToolError(Exception):
    """Raised by a tool function to say no. The message is what the policy reads."""


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A Python function that implements ``Tool``; made by ``tool``."""

    spec: ToolSpec
    function: Callable[..., Any]
    """As it was written, for callers other than the policy."""
    arguments: TypeAdapter[dict[str, Any]]
    timeout_s: float

    async def run(self, call: ToolCall) -> ToolResult:
        """Call the function with the call's arguments.

        ``ToolError`` and a missed deadline are values. Any other exception is a mistake of the
        environment, not of the policy, and raises ``InfraError``.
        """
        try:
            arguments = self.arguments.validate_python(dict(call.arguments or {}))
        except ValidationError as error:
            return refused(call, _first_problem(error), "policy")
        with anyio.move_on_after(self.timeout_s):
            try:
                return _result(call, await _invoke(self.function, arguments))
            except ToolError as error:
                return refused(call, str(error), "tool")
            except InfraError:
                raise
            except Exception as error:
                raise InfraError(
                    f"tool {self.spec.name} raised {type(error).__name__}: {error}; "
                    f"raise ToolError for a refusal that the policy should read"
                ) from error
        problem = f"{self.spec.name} did not answer within {self.timeout_s:g} s"
        return refused(call, problem, "timeout")


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...


@overload
def tool(
    *, name: str | None = None, read_only: bool = False, timeout_s: float = CALL_S
) -> Callable[[Callable[..., Any]], FunctionTool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    read_only: bool = False,
    timeout_s: float = CALL_S,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Decorate a function, sync or async, as a tool. Raises ``ConfigError``.

    Every parameter needs an annotation; ``Annotated[str, Field(description=...)]`` describes one.
    A sync function runs in a worker thread; one that misses its deadline is left behind there.
    """
    if function is None:
        return functools.partial(_make, name=name, read_only=read_only, timeout_s=timeout_s)
    return _make(function, name=name, read_only=read_only, timeout_s=timeout_s)


def _make(
    function: Callable[..., Any], *, name: str | None, read_only: bool, timeout_s: float
) -> FunctionTool:
    own_name = name or getattr(function, "__name__", "")
    if not own_name.replace("-", "_").isidentifier():
        raise ConfigError(f"@tool: {own_name or function!r} is no tool name; pass name=...")
    description = inspect.getdoc(function)
    if not description:
        raise ConfigError(f"tool {own_name}: add a docstring; it is what the policy is told")
    if timeout_s <= 0:
        raise ConfigError(f"tool {own_name}: timeout_s must be positive, got {timeout_s}")
    adapter, schema = _arguments_of(own_name, function)
    check_schema(own_name, schema)
    spec = ToolSpec(own_name, description, schema, read_only)
    return FunctionTool(spec, function, adapter, timeout_s)


def _arguments_of(
    name: str, function: Callable[..., Any]
) -> tuple[TypeAdapter[dict[str, Any]], Mapping[str, Any]]:
    """What validates the arguments, and the schema that the policy sees."""
    parameters = _parameters(name, function)
    hints = _hints(name, function)
    optional = {each.name: each.default for each in parameters if each.default is not each.empty}
    fields = {
        each.name: NotRequired[hints[each.name]] if each.name in optional else hints[each.name]
        for each in parameters
    }
    try:
        adapter = _adapter(fields)
        schema = adapter.json_schema(schema_generator=_UntitledSchema)
        for optional_name, default in optional.items():
            schema["properties"][optional_name]["default"] = to_jsonable_python(default)
    except (PydanticUserError, PydanticSerializationError) as error:
        reason = str(error).partition(". ")[0]
        raise ConfigError(f"tool {name}: a parameter is not made of JSON: {reason}") from error
    schema.pop("title", None)
    return adapter, schema


def _adapter(fields: dict[str, Any]) -> TypeAdapter[dict[str, Any]]:
    """Validates keyword arguments; a typed dict leaves the defaults to the function itself."""
    arguments: Any = TypedDict("arguments", fields)  # pyright: ignore[reportArgumentType]
    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(arguments))


def _parameters(name: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    for each in parameters:
        if each.kind not in NAMED_KINDS:
            raise ConfigError(f"tool {name}: parameter {each.name!r} cannot be passed by name")
        if each.annotation is each.empty:
            raise ConfigError(f"tool {name}: annotate parameter {each.name!r}; it is the schema")
        if isinstance(each.default, FieldInfo):
            raise ConfigError(f"tool {name}: {each.name!r}: write Annotated[..., Field(...)]")
    return parameters


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(
            f"tool {name}: an annotation is not known in its module: {error}"
        ) from error


class _UntitledSchema(GenerateJsonSchema):
    """Leaves out the titles, which repeat the names and cost the policy tokens."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


async def _invoke(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    call = functools.partial(function, **arguments)
    return await anyio.to_thread.run_sync(call, abandon_on_cancel=True)


def _result(call: ToolCall, value: object) -> ToolResult:
    """A string is the content as it is; any other value is JSON, and kept as ``structured``."""
    if isinstance(value, str):
        return ToolResult(call.id, value)
    return ToolResult(call.id, to_json(value).decode(), structured=to_jsonable_python(value))


def _first_problem(error: ValidationError) -> str:
    """Pydantic's first complaint, worded like those of ``schemas``."""
    first = error.errors(include_url=False, include_context=False)[0]
    return f"argument {'.'.join(str(part) for part in first['loc'])!r}: {first['msg']}"
