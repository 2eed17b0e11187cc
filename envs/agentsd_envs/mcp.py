"""Any MCP server as an environment, without code: name the server and the tasks.

Every episode gets a server process or connection of its own. Knows nothing of the protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.server import MCPServer
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from agentsd.errors import ConfigError
from agentsd.interfaces import Env
from agentsd.tasks import TaskInput, TaskSplits, as_splits
from agentsd.tools.env import TaskGrade, ToolEnv, grade_of, opening
from agentsd.tools.mcp import (
    CALL_S,
    CONNECT_S,
    Http,
    Limits,
    McpConnection,
    Stdio,
    Target,
    check_command,
)
from agentsd.tools.results import MAX_RESULT_BYTES, MIN_RESULT_BYTES
from agentsd.types import Task

WAYS = ("command", "url", "server")


class ServerOptions(BaseModel):
    """How to reach the server: exactly one of ``command``, ``url`` and ``server``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: list[str] | None = Field(default=None, min_length=1)
    """Started for every episode; talks over stdin and stdout."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of the command, besides PATH and the like: it inherits no secrets."""
    cwd: str | None = None
    """Working directory of the command."""
    url: str | None = Field(default=None, pattern=r"^https?://")
    """A server that runs already and speaks streamable HTTP. All episodes share its state."""
    server: Callable[[Task], MCPServer] | None = None
    """Makes the server of one episode in this process."""
    connect_timeout_s: PositiveFloat = CONNECT_S
    """Start, handshake and list of tools."""
    call_timeout_s: PositiveFloat = CALL_S
    """One call."""
    max_result_bytes: int = Field(default=MAX_RESULT_BYTES, ge=MIN_RESULT_BYTES)
    """Longer results are cut."""

    def target(self, task: Task) -> Target:
        """What to connect to for one episode of ``task``."""
        if self.command is not None:
            return Stdio(self.command, self.env, self.cwd)
        if self.url is not None:
            return Http(self.url)
        assert self.server is not None
        return self.server(task)


@dataclass(frozen=True, slots=True)
class McpTaskset:
    """Implements ``Taskset`` over an MCP server; made by ``taskset``."""

    splits: TaskSplits
    server: ServerOptions
    system: str
    grade: TaskGrade | None

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of a split. Raises ``ConfigError`` when it has none."""
        return self.splits.of(split)

    def env(self, task: Task) -> Env:
        """A fresh environment; opening it starts or reaches the server."""
        limits = Limits(self.server.connect_timeout_s, self.server.call_timeout_s)
        return ToolEnv(
            McpConnection(self.server.target(task), limits),
            opening(task, self.system),
            grade=grade_of(task, self.grade),
            max_result_bytes=self.server.max_result_bytes,
        )


def taskset(
    tasks: TaskInput, *, system: str = "", grade: TaskGrade | None = None, **server: Any
) -> McpTaskset:
    """The server is described by the fields of ``ServerOptions``.

    ``grade(task, trajectory)`` gives an ``Outcome``, a score or None; without one, trajectories
    are unscored. Raises ``ConfigError``, also when the command does not exist.
    """
    options = _options(server)
    if options.command is not None:
        check_command(Stdio(options.command, options.env, options.cwd))
    return McpTaskset(as_splits(tasks), options, system, grade)


def _options(server: dict[str, Any]) -> ServerOptions:
    try:
        options = ServerOptions(**server)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        known = ", ".join(ServerOptions.model_fields)
        raise ConfigError(f"mcp: option {name}: {first['msg']}; options: {known}") from error
    given = [way for way in WAYS if getattr(options, way) is not None]
    if len(given) != 1:
        got = ", ".join(given) or "none"
        raise ConfigError(f"mcp: give exactly one of {', '.join(WAYS)}; got {got}")
    return options
