"""A sandbox that stops nothing, to show that attacks succeed where nothing stops them.

A module of its own, because one attack makes the backend again in another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from agentsd.boxes import BoxSpec, ExecResult, Probe


class OpenBox:
    """Commands run as this user, on this machine, with all that this process has."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.started: list[asyncio.subprocess.Process] = []

    async def exec(
        self, argv: Sequence[str], *, timeout_s: float, stdin: bytes = b""
    ) -> ExecResult:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.workdir,
            close_fds=False,
            start_new_session=True,
        )
        self.started.append(process)
        try:
            async with asyncio.timeout(timeout_s):
                stdout, stderr = await process.communicate(stdin)
        except TimeoutError:
            # The group only: what made a group of its own stays, as in a careless sandbox.
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = await process.communicate()
            return ExecResult(None, stdout, stderr, seconds=timeout_s)
        code = process.returncode or 0
        return ExecResult(128 - code if code < 0 else code, stdout, stderr)

    async def read(self, path: str) -> bytes:
        return await asyncio.to_thread((self.workdir / path).read_bytes)

    async def write(self, path: str, data: bytes) -> None:
        await asyncio.to_thread((self.workdir / path).write_bytes, data)

    async def forget(self) -> None:
        """End what a cancelled command has left; what that started in turn stays."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            process._transport.close()  # type: ignore[attr-defined]


class OpenBackend:
    """Gives boxes that stop nothing."""

    async def probe(self) -> Probe:
        return Probe("open", works=True, detail="stops nothing")

    @contextlib.asynccontextmanager
    async def box(self, spec: BoxSpec) -> AsyncIterator[OpenBox]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            box = OpenBox(Path(folder))
            try:
                yield box
            finally:
                await box.forget()
