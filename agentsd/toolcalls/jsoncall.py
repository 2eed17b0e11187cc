"""Read a call written as a JSON object with a name and an object of arguments.

Knows nothing of the markers around it.
"""

from __future__ import annotations

from typing import Any

from agentsd.toolcalls.draft import Draft, Problem
from agentsd.toolcalls.jsonscan import Member, ScannedObject, scan_object
from agentsd.types import Span


def read_call(text: str, start: int, argument_keys: tuple[str, ...]) -> tuple[Draft, ScannedObject]:
    """The call at ``start``, as a draft that covers only the object, and the object itself.

    The name's span lies inside the quotes. Arguments that cannot be read reach to the end of
    ``text``.
    """
    scan = scan_object(text, start)
    name, arguments = scan.last("name"), scan.last(*argument_keys)
    name_problem = _name_problem(scan, name)
    problems = (scan.problem, name_problem, _arguments_problem(scan, arguments, argument_keys))
    known = name if name and not name_problem else None
    draft = Draft(
        call=Span(start, scan.stop),
        name=known.value if known else "",
        name_span=Span(known.span.start + 1, known.span.stop - 1) if known else None,
        arguments=arguments.value if arguments and isinstance(arguments.value, dict) else None,
        arguments_span=_arguments_span(scan, arguments, argument_keys),
        problems=tuple(problem for problem in problems if problem),
    )
    return draft, scan


def _name_problem(scan: ScannedObject, name: Member | None) -> Problem | None:
    if name is None:
        return None if scan.problem else Problem(scan.stop - 1, 'no "name" in the call')
    if not isinstance(name.value, str):
        return Problem(name.span.start, f"the name is {_kind(name.value)}, not a string")
    return None if name.value else Problem(name.span.start, "the name is empty")


def _arguments_problem(
    scan: ScannedObject, arguments: Member | None, keys: tuple[str, ...]
) -> Problem | None:
    if arguments is None:
        return None if scan.problem else Problem(scan.stop - 1, f'no "{keys[0]}" in the call')
    return not_an_object(arguments.value, arguments.span.start)


def not_an_object(value: Any, at: int) -> Problem | None:
    """The problem of arguments that are valid JSON of another type."""
    if isinstance(value, dict):
        return None
    return Problem(at, f"the arguments are {_kind(value)}, not an object")


def _arguments_span(
    scan: ScannedObject, arguments: Member | None, keys: tuple[str, ...]
) -> Span | None:
    if scan.unread and scan.unread.key in keys:
        return scan.unread.span
    return arguments.span if arguments else None


def _kind(value: Any) -> str:
    """The JSON type of a decoded value, with its article."""
    kinds: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return kinds.get(type(value), "null")
