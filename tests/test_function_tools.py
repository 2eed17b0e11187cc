"""Typed Python functions as tools."""

from __future__ import annotations

import asyncio
import datetime
import enum
import threading
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from agentsd.errors import ConfigError, InfraError
from agentsd.tools.function import FunctionTool, ToolError, tool
from agentsd.types import ToolCall, ToolResult


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Address(BaseModel):
    street: str


class NotJson:
    pass


async def run(subject: FunctionTool, **arguments: Any) -> ToolResult:
    return await subject.run(ToolCall("c1", subject.spec.name, "", arguments))


@tool(read_only=True)
def book(
    title: Annotated[str, Field(description="As printed.")],
    size: Size,
    to: Address | None = None,
    day: datetime.date | None = None,
    copies: int = 1,
    cover: Literal["soft", "hard"] = "soft",
) -> dict[str, Any]:
    """Order a book.

    It is sent the next day.
    """
    return {"title": title, "size": size, "to": to, "day": day, "copies": copies, "cover": cover}


def test_the_docstring_and_the_annotations_are_the_spec():
    schema = book.spec.input_schema
    assert (book.spec.name, book.spec.read_only) == ("book", True)
    assert book.spec.description == "Order a book.\n\nIt is sent the next day."
    assert schema["properties"]["title"] == {"type": "string", "description": "As printed."}
    assert schema["properties"]["copies"] == {"type": "integer", "default": 1}
    assert schema["properties"]["cover"]["enum"] == ["soft", "hard"]
    assert schema["required"] == ["title", "size"]
    assert schema["additionalProperties"] is False


@pytest.mark.anyio
async def test_arguments_arrive_as_the_annotated_types_and_defaults_are_the_functions_own():
    result = await run(book, title="Emma", size="small", to={"street": "Hill"}, day="2026-01-31")
    assert result.structured == {
        "title": "Emma",
        "size": "small",
        "to": {"street": "Hill"},
        "day": "2026-01-31",
        "copies": 1,
        "cover": "soft",
    }
    assert result.content.startswith('{"title":"Emma","size":"small"')
    assert not result.is_error


@pytest.mark.anyio
async def test_a_string_is_the_content_as_it_is_and_nothing_is_null():
    @tool
    def greet() -> str:
        """Greet."""
        return 'Say "hi"'

    @tool
    def forget() -> None:
        """Forget."""

    assert (await run(greet)).content == 'Say "hi"'
    assert (await run(forget)).content == "null"


@pytest.mark.anyio
async def test_what_only_the_annotation_can_refuse_is_the_policys_error():
    result = await run(book, title="Emma", size="small", day="tomorrow")
    assert (result.is_error, result.error_class) == (True, "policy")
    assert result.content.startswith("Error: argument 'day': Input should be a valid date")


@pytest.mark.anyio
async def test_a_tool_error_is_a_value_that_the_policy_reads():
    @tool
    async def lend(title: str) -> str:
        """Lend a book."""
        raise ToolError(f"{title} is out")

    result = await run(lend, title="Emma")
    assert result == ToolResult("c1", "Error: Emma is out", is_error=True, error_class="tool")


@pytest.mark.anyio
async def test_any_other_exception_is_a_mistake_of_the_environment():
    @tool
    def lend(title: str) -> str:
        """Lend a book."""
        return {"Emma": "here"}[title]

    with pytest.raises(InfraError, match="tool lend raised KeyError: 'Ulysses'") as caught:
        await run(lend, title="Ulysses")
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.anyio
async def test_a_result_that_is_not_json_is_a_mistake_of_the_environment():
    @tool
    def leak() -> object:
        """Leak."""
        return threading.Lock()

    with pytest.raises(InfraError, match="tool leak raised PydanticSerializationError"):
        await run(leak)


@pytest.mark.anyio
async def test_a_sync_function_that_blocks_misses_its_deadline_as_a_value():
    release = threading.Event()

    @tool(timeout_s=0.1)
    def block() -> bool:
        """Block."""
        return release.wait(10)

    async with asyncio.timeout(5):
        result = await run(block)
    release.set()
    assert result.error_class == "timeout"
    assert result.content == "Error: block did not answer within 0.1 s"


@pytest.mark.anyio
async def test_an_async_function_misses_its_deadline_as_a_value_and_a_timeout_of_its_own_does_not():
    @tool(timeout_s=0.1)
    async def sleep() -> None:
        """Sleep."""
        await asyncio.sleep(10)

    @tool
    async def give_up() -> None:
        """Give up."""
        raise TimeoutError("upstream")

    assert (await run(sleep)).error_class == "timeout"
    with pytest.raises(InfraError, match="give_up raised TimeoutError: upstream"):
        await run(give_up)


@pytest.mark.anyio
async def test_a_bound_method_is_a_tool_without_self():
    class Shelf:
        def __init__(self) -> None:
            self.books = ["Emma"]

        def count(self) -> int:
            """Count the books."""
            return len(self.books)

    count = tool(Shelf().count)
    assert count.spec.input_schema["properties"] == {}
    assert (await run(count)).content == "1"


def no_docstring(a: int) -> int:
    return a


def no_annotation(a) -> int:  # pyright: ignore[reportMissingParameterType]
    """Double."""
    return a * 2


def star(*a: int) -> int:
    """Sum."""
    return sum(a)


def unknown_type(a: Nowhere) -> int:  # noqa: F821 # pyright: ignore[reportUndefinedVariable]
    """Guess."""
    return a


def not_json(a: NotJson) -> int:
    """Guess."""
    return 0


def field_as_default(a: int = Field(3)) -> int:
    """Guess."""
    return a


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (no_docstring, "tool no_docstring: add a docstring"),
        (no_annotation, "tool no_annotation: annotate parameter 'a'"),
        (star, "tool star: parameter 'a' cannot be passed by name"),
        (unknown_type, "tool unknown_type: an annotation is not known"),
        (not_json, "tool not_json: a parameter is not made of JSON"),
        (field_as_default, "tool field_as_default: 'a': write Annotated"),
        (lambda: 1, "pass name="),
    ],
)
def test_a_function_that_cannot_be_a_tool_is_refused_in_one_line(function: Any, reason: str):
    with pytest.raises(ConfigError, match=reason) as caught:
        tool(function)
    assert "\n" not in str(caught.value)


def test_a_deadline_must_be_positive():
    with pytest.raises(ConfigError, match="timeout_s must be positive"):
        tool(timeout_s=0)(star)
