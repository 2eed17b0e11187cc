"""What every check stands on: the backend under test, and words for what is wrong."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from agentsd.boxes import BoxSpec, ExecResult
from agentsd.interfaces import Sandbox, SandboxBackend

PYTHON = ("python3", "-I", "-S", "-c")
COMMAND_S = 30.0
RUN = "checks"


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend under test, and how to make another one."""

    make: Callable[[], SandboxBackend]
    backend: SandboxBackend

    def box(self, spec: BoxSpec | None = None) -> AbstractAsyncContextManager[Sandbox]:
        """A fresh box."""
        return self.backend.box(spec or BoxSpec(run=RUN))


Check = Callable[[Subject], AsyncIterator[str]]
"""Yields a line for everything that is wrong."""


async def python(box: Sandbox, code: str, *words: str, stdin: bytes = b"") -> ExecResult:
    """Run a line of Python in the box."""
    return await box.exec((*PYTHON, code, *words), timeout_s=COMMAND_S, stdin=stdin)


async def shell(box: Sandbox, script: str, timeout_s: float = COMMAND_S) -> ExecResult:
    """Run a line of shell in the box."""
    return await box.exec(("/bin/sh", "-c", script), timeout_s=timeout_s)


def new_tag() -> str:
    """A word by which the host knows a process of a box."""
    return f"agentsd-check-{secrets.token_hex(8)}"


def differs(what: str, got: object, wanted: object) -> str | None:
    """A line when the two differ."""
    return None if got == wanted else f"{what} is {got!r}, must be {wanted!r}"


async def raised_by(act: Awaitable[object]) -> BaseException | None:
    """The exception that ``act`` raises, or None. Cancellation passes through."""
    try:
        await act
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return error
    return None


def cause(error: BaseException) -> BaseException:
    """The only error in a group of one, at any depth."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
