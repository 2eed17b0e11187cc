"""How the program of a stdio server is started: in a sandbox of its own, or trusted without one.

Every start is a fresh box: nothing is shared between two of them, and all that the server started
ends with it. Never falls back: a machine that cannot isolate is a ``ConfigError``. Knows nothing of
what the program says.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
from mcp.client.stdio import get_default_environment

from agentsd.boxes import BoxSpec
from agentsd.errors import ConfigError
from agentsd.sandbox.bwrap_command import stdio_command
from agentsd.sandbox.bwrap_probe import Kernel, explained
from agentsd.tools.mcp_programs import inside, needs_of, search_path
from agentsd.tools.mcp_stdio import Launch
from agentsd.tools.mcp_targets import Stdio, expanded

FILES = "/mnt/files"
"""Where the sandbox shows the folder whose contents go to ``/work``."""

COPY = f'cp -R {FILES}/. /work/ && exec "$@"'

BOX_GRACE_S = 0.3
"""How long a boxed server may take to end by itself: what it could save is thrown away."""

RUN = "mcp"


@asynccontextmanager
async def launched(target: Stdio) -> AsyncGenerator[Launch]:
    """How to start the server, while whatever the start needs exists. Raises ``ConfigError``."""
    variables = expanded(target.env)
    if target.sandbox == "none":
        yield Launch(target.command, get_default_environment() | variables, target.cwd)
        return
    async with AsyncExitStack() as stack:
        if target.files is not None:
            folder = await stack.enter_async_context(_readable(Path(target.files)))
            target = replace(target, files=str(folder))
        argv, spec = boxed(target)
        try:
            host_argv = await stack.enter_async_context(stdio_command(argv, spec))
        except ConfigError as error:
            raise _refusal(target, str(error)) from error
        yield Launch(host_argv, {}, "/", BOX_GRACE_S)


@asynccontextmanager
async def _readable(folder: Path) -> AsyncGenerator[Path]:
    """The folder, or a copy that the box's user may read where only root may read the original."""
    folder = folder.absolute()
    if os.geteuid() != 0 or await anyio.to_thread.run_sync(_is_public, folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="agentsd-files-") as private:
        copy = Path(private) / "files"
        await anyio.to_thread.run_sync(_copy_public, folder, copy)
        yield copy


def _is_public(folder: Path) -> bool:
    return all(path.is_symlink() or _mode(path) == path.stat().st_mode for path in _all(folder))


def _copy_public(folder: Path, copy: Path) -> None:
    shutil.copytree(folder, copy, symlinks=True)
    for path in _all(copy):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(_mode(path)))


def _all(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.rglob("*")


def _mode(path: Path) -> int:
    """The mode with which everybody may do what the owner may, except change it."""
    mode = path.stat().st_mode
    may_run = mode & stat.S_IXUSR
    return mode | stat.S_IRGRP | stat.S_IROTH | may_run >> 3 | may_run >> 6


def box_failure(target: Stdio, said: str) -> ConfigError | None:
    """Why the box itself did not start, if what was said last on stderr tells of that."""
    if target.sandbox == "none" or not said.startswith(("launcher: ", "bwrap: ")):
        return None
    return _refusal(target, str(explained(said, Kernel.read())))


def _refusal(target: Stdio, problem: str) -> ConfigError:
    return ConfigError(f'MCP server {target}: {problem}; or trust the server: sandbox = "none"')


def boxed(target: Stdio) -> tuple[list[str], BoxSpec]:
    """The command inside the box, and the box. Raises ``ConfigError``."""
    argv, needs = needs_of(target)
    mounts = {inside(path): str(path) for path in sorted(needs.paths)}
    if target.files is not None:
        mounts[FILES] = target.files
        argv = ["/bin/sh", "-c", COPY, "sh", *argv]
    variables = {"PATH": search_path(needs), "HOME": "/work", "LANG": "C.UTF-8"}
    spec = BoxSpec(
        limits=target.limits,
        env=variables | expanded(target.env),
        mounts=mounts | dict(target.mounts),
        run=RUN,
    )
    return argv, spec
