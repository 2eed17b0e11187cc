"""Conformance checks that the author of a sandbox backend runs over it.

Whether a box confines is another question: see ``agentsd.attacks``. Knows nothing of any backend:
what it learns, it learns through ``SandboxBackend``, ``Sandbox`` and ``Snapshots``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

from agentsd.interfaces import SandboxBackend
from agentsd.sandbox_checks import commands, files, lifetimes, snapshots
from agentsd.sandbox_checks.check import Check, Subject, cause

CHECK_S = 120.0
"""How long one check may take."""

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "exit codes": commands.exit_codes,
        "missing program": commands.missing_program,
        "words of a command": commands.words,
        "standard input": commands.standard_input,
        "bytes of the output": commands.bytes_of_the_output,
        "output cap": commands.output_cap,
        "deadline": commands.deadline,
        "one command at a time": commands.one_at_a_time,
        "environment": commands.environment,
        "state of a box": commands.state_of_a_box,
        "files round trip": files.round_trip,
        "files between host and commands": files.shared_with_commands,
        "errors of read": files.errors_of_read,
        "errors of write": files.errors_of_write,
        "snapshot and restore": snapshots.there_and_back,
        "snapshot into another box": snapshots.into_another_box,
        "end of a box": lifetimes.end_of_a_box,
        "exception in a box": lifetimes.exception_in_a_box,
        "cancelled command": lifetimes.cancelled_command,
        "cancelled opening": lifetimes.cancelled_opening,
        "closing under a command": lifetimes.closing_under_a_command,
        "two boxes": lifetimes.two_boxes,
        "twenty boxes": lifetimes.twenty_boxes,
        "descriptors": lifetimes.descriptors,
        "killed parent": lifetimes.killed_parent,
    }
)
"""Every check by the name that its problems carry."""


async def check_sandbox(
    make: Callable[[], SandboxBackend], checks: Mapping[str, Check] = CHECKS
) -> list[str]:
    """What is wrong with the boxes of ``make()``; empty when all is well.

    ``make`` is a class or a ``functools.partial``, because one check makes the backend in another
    process. Raises ``ConfigError`` where the backend does not work on this machine.
    """
    subject = Subject(make, make())
    async with subject.box():
        pass  # so that a backend that does not work here says so
    return [
        f"{name}: {problem}"
        for name, check in checks.items()
        for problem in await _problems(check, subject)
    ]


async def _problems(check: Check, subject: Subject) -> list[str]:
    found = list[str]()
    try:
        async with asyncio.timeout(CHECK_S):
            async for problem in check(subject):
                found.append(problem)
    except TimeoutError:
        found.append(f"took more than {CHECK_S:g} s")
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        found.append(f"raised {type(cause(error)).__name__}: {cause(error)}")
    return found
