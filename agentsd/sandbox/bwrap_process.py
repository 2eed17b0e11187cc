"""Starts one bwrap with a socket to the server in its box, and ends it.

Whatever happens to this process, the box ends: the launcher, bwrap and the server each end with
their parent, and the server ends when its socket does. Knows nothing of requests.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from io import FileIO
from typing import Any

import anyio

from agentsd.sandbox.interpreter import Interpreter, launcher_file

STOP_S = 2.0
"""How long a box may take to end after its host hung up, and again after it was killed."""
STDERR_BYTES = 1 << 16


class BoxProcess:
    """A running bwrap: its socket, and what it said on stderr."""

    def __init__(self, process: subprocess.Popen[bytes], host: socket.socket, said: FileIO) -> None:
        self.socket = host
        self._process = process
        self._said = said

    def last_line(self) -> str:
        """What was said last on stderr, for messages; says so when that was nothing."""
        text = (self._said.read(STDERR_BYTES) or b"").decode(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"

    async def stop(self) -> None:
        """Wait for its end, killing it if need be. The socket must be closed first."""
        with anyio.CancelScope(shield=True):
            if not await self._has_ended():
                self._process.kill()
                await self._has_ended()

    async def _has_ended(self) -> bool:
        with anyio.move_on_after(STOP_S):
            pause_s = 0.001
            while self._process.poll() is None:
                await anyio.sleep(pause_s)
                pause_s = min(0.05, pause_s * 1.5)
            return True
        return False


@asynccontextmanager
async def running(command: Sequence[str]) -> AsyncIterator[BoxProcess]:
    """A process that becomes a box with a server in it, until the context ends.

    It is not waited for: the server in the box answers the first request when it is ready.
    """
    host, box = socket.socketpair()
    stderr, their_stderr = os.pipe()
    os.set_blocking(stderr, False)
    with host, open(stderr, "rb", buffering=0) as said:
        try:
            process = subprocess.Popen(
                command,
                stdin=box.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=their_stderr,
                env={},
                cwd="/",
                start_new_session=True,
            )
        finally:
            box.close()
            os.close(their_stderr)
        running = BoxProcess(process, host, said)
        try:
            yield running
        finally:
            host.close()
            await running.stop()


@contextmanager
def launch_command(python: Interpreter, plan: Mapping[str, Any]) -> Iterator[list[str]]:
    """The words that carry out a plan, for children of this process, until the context ends.

    The plan is in this process's memory, so nothing is left on disk.
    """
    with os.fdopen(os.memfd_create("plan"), "wb") as file:
        file.write(launcher_file(plan))
        file.flush()
        yield python.launch(f"/proc/{os.getpid()}/fd/{file.fileno()}")
