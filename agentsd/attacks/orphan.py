"""A parent process that is killed while its box works: what becomes of the box.

Knows nothing of any backend: the parent gets a way to make one, pickled by the process that started
it, on standard input.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agentsd.attacks.survivors import alive, descendants, tagged
from agentsd.boxes import BoxSpec
from agentsd.interfaces import SandboxBackend

START_S = 60.0
"""How long a parent may take to start its box and the command in it."""
WORK_S = 120.0
PARENT = (sys.executable, "-c", "from agentsd.attacks.orphan import main; main()")


@dataclass(frozen=True, slots=True)
class Work:
    """What the parent does until it is killed."""

    make: Callable[[], SandboxBackend]
    spec: BoxSpec
    command: Sequence[str]
    stdin: bytes


async def left_after_kill(work: Work, tag: str, timeout_s: float) -> set[int]:
    """Processes of the box that outlive a ``SIGKILL`` of their parent by ``timeout_s``.

    ``tag`` stands in the command line of ``work.command``. Raises ``RuntimeError`` when the box
    never came to work, or its processes cannot be seen from here.
    """
    process = await asyncio.create_subprocess_exec(
        *PARENT, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    if process.stdin is None:
        raise RuntimeError("a process without the pipe that was asked for")
    try:
        process.stdin.write(pickle.dumps(work))
        process.stdin.close()
        ours = await _at_work(process, tag)
    finally:
        if process.returncode is None:
            process.kill()
        # Not ``communicate``: an orphan that holds the pipe would keep it open.
        await process.wait()
    stop = time.monotonic() + timeout_s
    while (left := alive(ours | tagged(tag))) and time.monotonic() < stop:
        await asyncio.sleep(0.05)
    return left


async def _at_work(process: asyncio.subprocess.Process, tag: str) -> set[int]:
    """All processes of the parent and its box, once the command runs."""
    stop = time.monotonic() + START_S
    while time.monotonic() < stop and process.returncode is None:
        if tagged(tag):
            await asyncio.sleep(0.5)
            return descendants(process.pid) | tagged(tag)
        await asyncio.sleep(0.05)
    if process.returncode is None or process.stderr is None:
        raise RuntimeError("no process of the box can be seen from this host")
    lines = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    raise RuntimeError(f"the parent could not start its box: {lines[-1] if lines else 'silent'}")


async def _work(work: Work) -> None:
    async with work.make().box(work.spec) as box:
        await box.exec(work.command, timeout_s=WORK_S, stdin=work.stdin)


def main() -> None:
    """Be the parent that is killed."""
    # Written by the process that started this one, from objects of its own.
    asyncio.run(_work(pickle.loads(sys.stdin.buffer.read())))
