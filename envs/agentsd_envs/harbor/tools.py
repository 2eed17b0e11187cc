"""What the policy works with in a Harbor task: a shell in the box, and files by path.

Knows nothing of tasks or grades.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from agentsd.boxes import ExecResult
from agentsd.interfaces import Sandbox, Tool
from agentsd.tools.function import ToolError, tool
from agentsd.tools.results import refused
from agentsd.types import ToolCall, ToolResult, ToolSpec

SHELL = ToolSpec(
    "shell",
    "Run a command in the shell of the machine you work on. Every call starts in the working "
    "directory; nothing that it starts outlives it.",
    {
        "type": "object",
        "properties": {"command": {"type": "string", "description": "The command line"}},
        "required": ["command"],
        "additionalProperties": False,
    },
)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that a task gives its agent, on the monotonic clock."""

    ends_s: float | None
    limit_s: float | None
    call_s: float

    @classmethod
    def started(cls, limit_s: float | None, call_s: float) -> Clock:
        """Starts now; ``limit_s`` is None for a task without a limit."""
        return cls(None if limit_s is None else time.monotonic() + limit_s, limit_s, call_s)

    def room_s(self) -> float:
        """How long the next call may take; 0 or less when the time is used up."""
        if self.ends_s is None:
            return self.call_s
        return min(self.call_s, self.ends_s - time.monotonic())


@dataclass(frozen=True, slots=True)
class ShellTool:
    """Runs commands in the box. Implements ``Tool``."""

    box: Sandbox
    shell: str
    clock: Clock
    spec: ToolSpec = SHELL

    async def run(self, call: ToolCall) -> ToolResult:
        """Run the command. A failing command is no error: its exit code is told."""
        room_s = self.clock.room_s()
        if room_s <= 0:
            limit = f"the time for the task, {self.clock.limit_s:g} s, is used up"
            return refused(call, limit, "timeout")
        command = str((call.arguments or {})["command"])
        result = await self.box.exec([self.shell, "-c", command], timeout_s=room_s)
        text = shown(result)
        if result.is_timeout:
            text = f"{text}Error: the command was stopped after {room_s:.0f} s"
        return ToolResult(
            call.id,
            text,
            is_error=result.is_timeout,
            error_class="timeout" if result.is_timeout else None,
            truncated_bytes=result.truncated_bytes,
        )


def shown(result: ExecResult) -> str:
    """What a command wrote and how it ended, as text."""
    parts = [_decoded(result.stdout), _decoded(result.stderr)]
    if result.truncated_bytes:
        parts.append(f"[{result.truncated_bytes} bytes cut]\n")
    if result.exit_code:
        parts.append(f"[exit code {result.exit_code}]\n")
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part)


def box_tools(box: Sandbox, shell: str, clock: Clock) -> Sequence[Tool]:
    """The tools of one episode."""

    @tool(read_only=True)
    async def read_file(path: str) -> str:
        """Read a text file."""
        try:
            return _decoded(await box.read(path))
        except OSError as error:
            raise ToolError(_said(path, error)) from error

    @tool
    async def write_file(path: str, content: str) -> str:
        """Write a text file; folders are made, an old file is replaced."""
        try:
            await box.write(path, content.encode())
        except OSError as error:
            raise ToolError(_said(path, error)) from error
        return f"{path} written"

    return [ShellTool(box, shell, clock), read_file, write_file]


def _said(path: str, error: OSError) -> str:
    return f"{path}: {error.strerror or error}"


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
