"""One open Docker box: commands, files and snapshots in a container that already runs.

The daemon cannot end a command it has started, so a box ends it from within: ``kill -9 -1`` as the
commands' own user reaches every process of theirs at once and nothing else. Processes that fight
back lose their container, not the episode. Knows nothing of how a container is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import posixpath
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from agentsd.boxes import MIB, BoxLimits, ExecResult
from agentsd.errors import ConfigError, InfraError
from agentsd.sandbox.docker_api import Daemon, DaemonRefusedError, to_the_end
from agentsd.sandbox.docker_container import CONFLICT, GONE, Container
from agentsd.sandbox.docker_files import check_path, os_error, owned_by_the_box
from agentsd.sandbox.docker_options import COMMAND_USER, WORKDIR
from agentsd.sandbox.docker_streams import Output, drain, feed

MAX_FILE_BYTES = 64 * MIB
MAX_WORD_BYTES = 128 * 1024 - 1
FILE_TIMEOUT_S = 60.0
SWEEP_TIMEOUT_S = 3.0
NUM_SWEEPS = 2
STATE_TIMEOUT_S = 10.0
HEADER_BYTES = 4096
"""Of one member of an archive, at most: its header, a long name, padding."""

SWEEP = """kill -s KILL -- -1
alive() {
for p in /proc/[0-9]*; do if [ $p != /proc/$$ ] && [ -O $p ]; then return 0; fi; done
return 1
}
left=2000
while alive && [ $left -gt 0 ]; do left=$((left - 1)); done
"""
"""End every other process of this user and wait until they are gone. Builtins only: it must work
when no further process can be started."""
RUN = f"""exec 3>&2 2>/dev/null
{SWEEP}if command -v nice; then set -- nice -n 19 -- "$@"; fi >/dev/null
(echo 1000 >/proc/self/oom_score_adj; exec 2>&3 3>&-; exec "$@")
code=$?
{SWEEP}exit $code
"""
"""The shell around a command. Its own complaints are hidden, the command's are not. The command is
the first to die when memory runs out, and the last to get the box's CPU time: what ends a fork bomb
must not queue behind it. ``nice`` reports a missing program as a shell does."""
FILE_ONLY = """[ ! -e "$1" ] || [ -f "$1" ] || [ -d "$1" ] || {
echo "no file: Invalid argument" >&2; exit 1; }
"""
NO_FOLDER = '[ ! -d "$1" ] || { echo "a folder: Is a directory" >&2; exit 1; }'
READ = f'{FILE_ONLY}{NO_FOLDER}\nexec head -c {MAX_FILE_BYTES + 1} -- "$1"'
WRITE = f'{FILE_ONLY}mkdir -p -- "$2" && exec cat >"$1"'
EMPTY = f'chmod -R u+rwX . ; rm -rf {WORKDIR}; [ -z "$(ls -A {WORKDIR})" ]'


@dataclass(slots=True)
class _Running:
    """A command that was started: its id, and what it has said."""

    id: str
    output: Output
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class DockerBox:
    """A running container. Implements ``Sandbox`` and ``Snapshots``; one command at a time."""

    def __init__(self, daemon: Daemon, container: Container, limits: BoxLimits) -> None:
        self._daemon = daemon
        self._container = container
        self._limits = limits
        self._turn = asyncio.Lock()
        self._is_closed = False

    async def exec(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> ExecResult:
        """See ``Sandbox.exec``. 127 for a program that is missing, 128 + n for signal n.

        Raises ``ConfigError`` for an empty command.
        """
        if not argv or not timeout_s > 0 or len(stdin) > MAX_FILE_BYTES:
            raise ConfigError("a command needs a program, a positive deadline, stdin up to 64 MiB")
        if problem := _problem_of(argv):
            return ExecResult(126, b"", f"{problem}\n".encode())
        output = Output(self._limits.output_bytes)
        return await self._exec(argv, output, timeout_s=timeout_s, stdin=stdin)

    async def read(self, path: str) -> bytes:
        """See ``Sandbox.read``; at most 64 MiB, of a regular file."""
        check_path(path)
        result = await self._tool(READ, [path], Output(MAX_FILE_BYTES))
        if result.truncated_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return result.stdout

    async def write(self, path: str, data: bytes) -> None:
        """See ``Sandbox.write``; at most 64 MiB."""
        check_path(path)
        if len(data) > MAX_FILE_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        if path.endswith("/"):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        folder = posixpath.dirname(path) or "."
        await self._tool(WRITE, [path, folder], Output(self._limits.output_bytes), data)

    async def snapshot(self) -> bytes:
        """See ``Snapshots.snapshot``: a tar archive of ``/work``."""
        async with self._alone():
            await self._sweep()
            return await self._container.archive(self._most_bytes)

    async def restore(self, snapshot: bytes) -> None:
        """See ``Snapshots.restore``. Raises ``DataError`` for bytes that are not a snapshot."""
        archive = owned_by_the_box(snapshot)
        await self._tool(EMPTY, [], Output(self._limits.output_bytes))
        async with self._alone():
            await self._container.unpack(archive)

    @property
    def _most_bytes(self) -> int:
        """Of an archive: the files and their headers."""
        return self._limits.workdir_bytes + HEADER_BYTES * (self._limits.num_files + 2)

    def close(self) -> None:
        """Refuse every later use. The container is its maker's to remove."""
        self._is_closed = True

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        if self._is_closed:
            raise InfraError("the box is closed")
        async with self._turn:
            try:
                yield
            except DaemonRefusedError as error:
                if error.status in (GONE, CONFLICT):  # a conflict: it is there, but has ended
                    raise InfraError(f"the box died: {error.explanation}") from error
                raise

    async def _tool(
        self, script: str, words: Sequence[str], output: Output, stdin: bytes = b""
    ) -> ExecResult:
        """Run a script of ours. Raises the ``OSError`` it ends with."""
        result = await self._exec(
            ["/bin/sh", "-c", script, "sh", *words],
            output,
            timeout_s=FILE_TIMEOUT_S,
            stdin=stdin,
            env={"LC_ALL": "C"},
        )
        path = words[0] if words else WORKDIR
        if result.is_timeout:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), path)
        if result.exit_code == 127:
            raise InfraError(f"the box's image lacks a tool: {result.stderr.decode().strip()}")
        if result.exit_code and not result.truncated_bytes:
            raise os_error(result.stderr, path)
        return result

    async def _exec(
        self,
        argv: Sequence[str],
        output: Output,
        *,
        timeout_s: float,
        stdin: bytes,
        env: Mapping[str, str] | None = None,
    ) -> ExecResult:
        """Run one command alone, and leave nothing of it behind, even when cancelled."""
        async with self._alone():
            start = time.monotonic()
            is_over = False
            command = ["/bin/sh", "-c", RUN, "sh", *argv]
            try:
                running = await self._start(command, output, has_stdin=bool(stdin), env=env)
                is_late = not await _talk(running, stdin, timeout_s)
                code = None if is_late else await self._exit_code(running.id)
                # From 128 on, a signal may have ended our shell before it could clean up.
                is_over = code is not None and code < 128
            finally:
                if not is_over:
                    await to_the_end(self._sweep())
            seconds = time.monotonic() - start
        kept = bytes(output.stdout), bytes(output.stderr)
        return ExecResult(code, *kept, output.truncated_bytes, seconds)

    async def _start(
        self,
        command: Sequence[str],
        output: Output,
        *,
        has_stdin: bool,
        env: Mapping[str, str] | None = None,
    ) -> _Running:
        created = await self._daemon.call(
            lambda api: api.exec_create(
                self._container.id,
                list(command),
                stdin=has_stdin,
                user=COMMAND_USER,
                environment=dict(env or {}),
                workdir=WORKDIR,
            )
        )
        path = f"/exec/{created['Id']}/start"
        reader, writer = await self._daemon.hijack(path, {"Detach": False, "Tty": False})
        return _Running(created["Id"], output, reader, writer)

    async def _exit_code(self, exec_id: str) -> int:
        """How the command ended. Its streams may end a moment before the daemon knows."""
        deadline = time.monotonic() + STATE_TIMEOUT_S
        while time.monotonic() < deadline:
            state = await self._daemon.call(lambda api: api.exec_inspect(exec_id))
            if not state["Running"] and state["ExitCode"] is not None:
                return state["ExitCode"]
            await asyncio.sleep(0.005)
        raise InfraError("docker daemon: the command's streams ended, but it is still running")

    async def _sweep(self) -> None:
        """End every process of the commands' user, in a fresh container if they resist."""
        for _ in range(NUM_SWEEPS):
            if await self._swept():
                return
        await self._container.replace(self._most_bytes)

    async def _swept(self) -> bool:
        """One attempt. The command may have killed the sweeper, or left it no room to start."""
        command = ["/bin/sh", "-c", f"{SWEEP}exit 0"]
        try:
            async with asyncio.timeout(SWEEP_TIMEOUT_S):
                running = await self._start(command, Output(limit=0), has_stdin=False)
                await _talk(running, b"", SWEEP_TIMEOUT_S)
                return await self._exit_code(running.id) == 0
        except TimeoutError:
            return False
        except DaemonRefusedError as error:
            if error.status in (GONE, CONFLICT):
                raise
            return False


async def _talk(running: _Running, stdin: bytes, timeout_s: float) -> bool:
    """Carry the streams until the command ends. False when the deadline came first."""
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            feeding = group.create_task(feed(running.writer, stdin)) if stdin else None
            await drain(running.reader, running.output)
            if feeding is not None:
                feeding.cancel()
        return True
    except TimeoutError:
        return False
    finally:
        # Not close(): that would wait for input which nobody reads any more.
        running.writer.transport.abort()


def _problem_of(argv: Sequence[str]) -> str | None:
    """Why no system could start the command."""
    for word in argv:
        try:
            size = len(word.encode())
        except UnicodeEncodeError:
            return "a word of the command is not UTF-8"
        if "\0" in word:
            return "a word of the command holds a NUL"
        if size > MAX_WORD_BYTES:
            return f"{argv[0]}: Argument list too long"
    return None
