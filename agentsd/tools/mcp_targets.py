"""What an MCP connection can be made to: a program, an address, or an object in this process.

Knows nothing of connections, sandboxes or protocols.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mcp.client.stdio import get_default_environment
from mcp.server import MCPServer

from agentsd.boxes import BoxLimits
from agentsd.errors import ConfigError

SandboxName = Literal["bwrap", "none"]

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""How a value names a variable of this process's environment."""

SECRET_HEADER = re.compile(r"authorization|cookie|token|secret|password|api-?key", re.IGNORECASE)
"""Headers whose value must not stand in a recipe."""

DOWNLOADERS: Mapping[str, str] = {
    "uvx": "uv tool install PACKAGE",
    "pipx": "pipx install PACKAGE",
    "npx": "npm install --prefix DIR PACKAGE",
    "bunx": "npm install --prefix DIR PACKAGE",
}
"""Programs that fetch the server when it starts, and what to do before instead."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """A program that is started for the connection and talks over stdin and stdout."""

    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Its variables besides PATH, HOME and the like. ``${NAME}`` stands for one of ours."""
    sandbox: SandboxName = "bwrap"
    """``none`` trusts the program with this machine, also with what it leaves running."""
    cwd: str | None = None
    """Working directory, without a sandbox only; in one it is ``/work``."""
    files: str | None = None
    """Folder of this machine whose contents are copied into ``/work`` of each sandbox."""
    mounts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path in the sandbox to path on this machine, read-only, besides what the program needs."""
    limits: BoxLimits = field(default_factory=BoxLimits)

    def __str__(self) -> str:
        return shlex.join(self.command)


@dataclass(frozen=True, slots=True)
class Http:
    """A server that runs already and speaks streamable HTTP."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Sent with every request. ``${NAME}`` stands for a variable of our environment."""

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]  # credentials and the query stay out of messages
        return f"{parts.scheme}://{host}{parts.path}"


Target = Stdio | Http | MCPServer


def label(target: Target) -> str:
    """What messages call the server."""
    return target.name if isinstance(target, MCPServer) else str(target)


def expanded(values: Mapping[str, str]) -> dict[str, str]:
    """The values with ``${NAME}`` replaced. Raises ``ConfigError`` for a variable not set."""

    def variable(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            raise ConfigError(f"the environment variable {name} is not set; {key} needs it")
        return os.environ[name]

    result: dict[str, str] = {}
    for key, value in values.items():
        result[key] = VARIABLE.sub(variable, value)
    return result


def check_target(target: Target) -> None:
    """Refuse what can be seen to be wrong before connecting. Raises ``ConfigError``, one line."""
    match target:
        case Stdio():
            check_command(target)
            expanded(target.env)
        case Http():
            for name, value in target.headers.items():
                if SECRET_HEADER.search(name) and not VARIABLE.search(value):
                    raise ConfigError(
                        f"MCP header {name}: a secret may not stand in a recipe; "
                        f'put it into an environment variable and write "${{NAME}}"'
                    )
            expanded(target.headers)
        case _:
            pass


def check_command(target: Stdio) -> None:
    """Refuse a command that cannot be started. Raises ``ConfigError`` in one line."""
    if not target.command:
        raise ConfigError("an MCP server command is a list of words, got an empty one")
    if target.cwd is not None and not Path(target.cwd).is_dir():
        raise ConfigError(f"MCP server {target}: the working directory {target.cwd} does not exist")
    executable = program(target)
    if target.sandbox == "none":
        if target.files or target.mounts:
            raise ConfigError(
                f"MCP server {target}: files and mounts describe a sandbox; "
                f'leave them out, or sandbox = "none"'
            )
        return
    if executable.parent.name == "shims":
        raise ConfigError(
            f"MCP server {target}: {executable} is a shim that chooses among versions, which works "
            f"outside of a sandbox only; name the program itself (pyenv which {executable.name})"
        )
    _check_sandboxed(target)


def program(target: Stdio) -> Path:
    """The executable file of the command. Raises ``ConfigError`` when there is none."""
    name = target.command[0]
    path = (get_default_environment() | dict(target.env)).get("PATH")
    is_path = os.sep in name
    found = shutil.which(Path(target.cwd or ".", name) if is_path else name, path=path)
    if found is None:
        where = "it is not an executable file" if is_path else "it is not on the PATH"
        raise ConfigError(f"MCP server command {name!r} was not found: {where}")
    return Path(found)


def _check_sandboxed(target: Stdio) -> None:
    downloader = DOWNLOADERS.get(Path(target.command[0]).name)
    if downloader is not None:
        raise ConfigError(
            f"MCP server {target}: {target.command[0]} downloads the server when it starts, and a "
            f"sandbox has no network; install it first ({downloader}) and name its program, "
            f'or trust it: sandbox = "none"'
        )
    if target.cwd is not None:
        raise ConfigError(
            f"MCP server {target}: in a sandbox the working directory is /work; "
            f'copy a folder there with files = "{target.cwd}", or trust it: sandbox = "none"'
        )
    if target.files is not None and not Path(target.files).is_dir():
        raise ConfigError(f"MCP server {target}: files: the folder {target.files} does not exist")
    for inside, outside in target.mounts.items():
        if not inside.startswith("/"):
            raise ConfigError(f"MCP server {target}: mounts: {inside} must be an absolute path")
        if not Path(outside).exists():
            raise ConfigError(f"MCP server {target}: mounts: {outside} does not exist")
