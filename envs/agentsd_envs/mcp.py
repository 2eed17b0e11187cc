"""Any MCP server as an environment, without code: name the server and the tasks.

Every episode gets a server process or connection of its own; a process runs in a sandbox, unless
the recipe trusts it. Knows nothing of the protocol.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from agentsd.interfaces import Env
from agentsd.tasks import TaskInput, TaskSplits, as_splits
from agentsd.tools.env import TaskGrade, ToolEnv, ToolSource, grade_of, opening
from agentsd.tools.mcp import McpConnection
from agentsd.tools.mcp_contact import Contact
from agentsd.tools.mcp_options import ServerOptions, server_options
from agentsd.tools.mcp_pool import WarmServers, warm_servers
from agentsd.tools.mcp_targets import Target
from agentsd.tools.projection import offered
from agentsd.types import Message, Outcome, Task, ToolCall, ToolResult, ToolSpec, Trajectory


@dataclass(frozen=True, slots=True)
class McpTaskset:
    """Implements ``Taskset`` over an MCP server; made by ``taskset``."""

    splits: TaskSplits
    server: ServerOptions
    system: str
    grade: TaskGrade | None
    contact: Contact = field(default_factory=Contact)
    """What the first connection learned about a server that all episodes share or start alike."""
    warm: WarmServers | None = None

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split. Raises ``ConfigError`` when it has none."""
        return self.splits.of(split)

    def env(self, task: Task) -> Env:
        """A fresh environment; opening it starts or reaches the server."""
        source: ToolSource = self._connection(task) if self.warm is None else self.warm.source()
        inner = ToolEnv(
            source,
            opening(task, self.system),
            grade=grade_of(task, self.grade),
            max_result_bytes=self.server.max_result_bytes,
        )
        return McpEnv(inner)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[McpTaskset]:
        """The same tasks, with ``warm`` servers kept started until the context ends."""
        target = self.server.target()
        if self.server.warm == 0 or target is None:
            yield self
            return
        async with warm_servers(lambda: self._connect(target), self.server.warm) as servers:
            yield replace(self, warm=servers)

    def _connection(self, task: Task) -> McpConnection:
        target = self.server.target()
        if target is not None:
            return self._connect(target)
        assert self.server.server is not None
        return McpConnection(self.server.server(task), self.server.deadlines())

    def _connect(self, target: Target) -> McpConnection:
        return McpConnection(target, self.server.deadlines(), self.contact)


@dataclass(frozen=True, slots=True)
class McpEnv:
    """Implements ``Env``: offers tools in the strict form; their own schemas judge the calls."""

    inner: ToolEnv

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """What the policy is offered; empty before ``open``."""
        return tuple(offered(spec) for spec in self.inner.tools)

    async def open(self) -> Sequence[Message]:
        """Start or reach the server. Raises ``InfraError``; ``ConfigError`` on bad tools."""
        return await self.inner.open()

    async def call(self, call: ToolCall) -> ToolResult:
        """Answer one call. Raises only ``InfraError``."""
        return await self.inner.call(call)

    async def grade(self, trajectory: Trajectory) -> Outcome | None:
        """Judge the final state, if the taskset has a grade."""
        return await self.inner.grade(trajectory)

    async def close(self) -> None:
        """End the connection, and the server that was started for it. Idempotent."""
        await self.inner.close()


def taskset(
    tasks: TaskInput, *, system: str = "", grade: TaskGrade | None = None, **server: Any
) -> McpTaskset:
    """The server is described by the fields of ``ServerOptions``.

    ``grade(task, trajectory)`` gives an ``Outcome``, a score or None; without one, trajectories
    are unscored. Raises ``ConfigError``, also when the command does not exist.
    """
    return McpTaskset(as_splits(tasks), server_options(server), system, grade)
