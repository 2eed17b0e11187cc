"""How a recipe describes an MCP server. Knows nothing of tasks or of connecting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcp.server import MCPServer
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat

from agentsd.boxes import BoxLimits
from agentsd.errors import ConfigError
from agentsd.tools.mcp import CALL_S, CONNECT_S, Limits
from agentsd.tools.mcp_targets import Http, SandboxName, Stdio, check_target
from agentsd.tools.results import MAX_RESULT_BYTES, MIN_RESULT_BYTES
from agentsd.types import Task
from agentsd.validation import checked_options

WAYS = ("command", "url", "server")
ONLY_FOR = {
    "command": ("env", "sandbox", "cwd", "files", "mounts", "limits", "warm"),
    "url": ("headers",),
}
"""Options that say nothing about the other ways."""


class ServerOptions(BaseModel):
    """How to reach the server: exactly one of ``command``, ``url`` and ``server``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: list[str] | None = Field(default=None, min_length=1)
    """Started for every episode; talks over stdin and stdout."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of the command; it inherits no secrets. ``${NAME}`` stands for one of ours."""
    sandbox: SandboxName = "bwrap"
    """``none`` trusts the command with this machine."""
    cwd: str | None = None
    """Working directory of a command without a sandbox; in one it is ``/work``."""
    files: str | None = None
    """Folder whose contents are copied into ``/work`` for every episode."""
    mounts: dict[str, str] = Field(default_factory=dict)
    """Path in the sandbox to path on this machine, read-only."""
    limits: dict[str, float] = Field(default_factory=dict)
    """What one sandbox may use: fields of ``agentsd.boxes.BoxLimits``."""
    warm: NonNegativeInt = 0
    """Servers kept started for the next episodes."""
    url: str | None = Field(default=None, pattern=r"^https?://")
    """A server that runs already and speaks streamable HTTP. All episodes share its state."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent to the ``url``. ``${NAME}`` stands for a variable of our environment."""
    server: Callable[[Task], MCPServer] | None = None
    """Makes the server of one episode in this process."""
    connect_timeout_s: PositiveFloat = CONNECT_S
    """Start, handshake and list of tools."""
    call_timeout_s: PositiveFloat = CALL_S
    """One call."""
    max_result_bytes: int = Field(default=MAX_RESULT_BYTES, ge=MIN_RESULT_BYTES)
    """Longer results are cut."""

    def target(self) -> Stdio | Http | None:
        """What every episode connects to, or None where each has a server object of its own."""
        if self.command is not None:
            return Stdio(
                command=self.command,
                env=self.env,
                sandbox=self.sandbox,
                cwd=self.cwd,
                files=self.files,
                mounts=self.mounts,
                limits=_limits(self.limits),
            )
        return Http(self.url, self.headers) if self.url is not None else None

    def deadlines(self) -> Limits:
        """How long the server may take."""
        return Limits(self.connect_timeout_s, self.call_timeout_s)


def server_options(server: Mapping[str, Any]) -> ServerOptions:
    """The options, checked as far as they can be without the server. Raises ``ConfigError``."""
    options = checked_options(ServerOptions, "mcp", server)
    given = [way for way in WAYS if getattr(options, way) is not None]
    if len(given) != 1:
        got = ", ".join(given) or "none"
        raise ConfigError(f"mcp: give exactly one of {', '.join(WAYS)}; got {got}")
    for way, names in ONLY_FOR.items():
        strange = [name for name in names if name in server]
        if strange and way not in given:
            raise ConfigError(f"mcp: option {strange[0]} is for {way}; this server has {given[0]}")
    target = options.target()
    if target is not None:
        check_target(target)
    return options


def _limits(limits: Mapping[str, float]) -> BoxLimits:
    """The limits of one sandbox. Raises ``ConfigError`` for an unknown or impossible one."""
    known = BoxLimits.__dataclass_fields__
    for name in limits:
        if name not in known:
            raise ConfigError(f"mcp: option limits.{name}: unknown; limits: {', '.join(known)}")
    values: dict[str, Any] = {
        name: value if name == "cpus" else int(value) for name, value in limits.items()
    }
    return BoxLimits(**values)
