"""What a box promises about its beginning and end. Knows nothing of any backend."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator

from agentsd.attacks.orphan import Work, left_after_kill
from agentsd.attacks.survivors import alive, descendants, end, left_after, tagged
from agentsd.boxes import BoxSpec
from agentsd.errors import InfraError
from agentsd.sandbox_checks.check import (
    PYTHON,
    RUN,
    Subject,
    cause,
    differs,
    new_tag,
    python,
    raised_by,
    shell,
)

SLEEP = "import time; time.sleep(60)"
CLOSE_S = 10.0
"""How long a box may take to close, or a cancelled call to return."""
NUM_BOXES = 20
ORPHAN_S = 10.0


async def end_of_a_box(subject: Subject) -> AsyncIterator[str]:
    """A box is single use: refused with ``InfraError`` after its end, and cannot be reopened"""
    opening = subject.box()
    async with opening as box:
        await box.write("file", b"x")
        start = time.monotonic()
    if (seconds := time.monotonic() - start) > CLOSE_S:
        yield f"closing took {seconds:.1f} s"
    uses = {"exec": box.exec(["true"], timeout_s=5), "read": box.read("file")}
    uses["write"] = box.write("file", b"x")
    for name, use in uses.items():
        if not isinstance(error := await raised_by(use), InfraError):
            yield f"{name} after the end must raise InfraError, got {error!r}"
    if await raised_by(opening.__aenter__()) is None:
        yield "a box can be opened a second time"


async def exception_in_a_box(subject: Subject) -> AsyncIterator[str]:
    """An exception leaves the block as it is"""
    raised = KeyError("of the block")

    async def block() -> None:
        async with subject.box() as box:
            await shell(box, "exit 0")
            raise raised

    if (error := await raised_by(block())) is not raised:
        yield f"the block's own exception comes out as {error!r}"


async def cancelled_command(subject: Subject) -> AsyncIterator[str]:
    """A cancelled command is killed, at once, and the box goes on"""
    for after_s in (0.0, 0.01, 0.5):
        tag = new_tag()
        async with subject.box() as box:
            task = asyncio.ensure_future(box.exec((*PYTHON, SLEEP, tag), timeout_s=60))
            await asyncio.sleep(after_s)
            task.cancel()
            start = time.monotonic()
            await asyncio.wait([task], timeout=3 * CLOSE_S)
            if not task.cancelled():
                yield f"cancelled after {after_s} s, the command ends otherwise: {task!r:.200}"
            if (seconds := time.monotonic() - start) > CLOSE_S:
                yield f"cancelled after {after_s} s, the command returns {seconds:.1f} s later"
            if left := await left_after(tag, 2):
                yield f"cancelled after {after_s} s, {len(left)} processes are left"
            result = await shell(box, "echo on")
            if problem := differs("the next command's output", result.stdout, b"on\n"):
                yield f"cancelled after {after_s} s: {problem}"


async def cancelled_opening(subject: Subject) -> AsyncIterator[str]:
    """A box whose opening is cancelled leaves no process"""
    before = descendants(os.getpid())

    async def open_and_hold() -> None:
        async with subject.box():
            await asyncio.sleep(60)

    for after_s in (0.0, 0.001, 0.005, 0.02, 0.05, 0.2):
        task = asyncio.ensure_future(open_and_hold())
        await asyncio.sleep(after_s)
        task.cancel()
        await asyncio.wait([task], timeout=3 * CLOSE_S)
        if not task.cancelled():
            yield f"cancelled after {after_s} s, opening ends otherwise: {task!r:.200}"
    stop = time.monotonic() + 5
    while (left := alive(descendants(os.getpid()) - before)) and time.monotonic() < stop:
        await asyncio.sleep(0.05)
    if left:
        yield f"{len(left)} processes are left of boxes that were never open"


async def closing_under_a_command(subject: Subject) -> AsyncIterator[str]:
    """A box that closes ends the command that still runs in it"""
    tag = new_tag()
    async with subject.box() as box:
        task = asyncio.ensure_future(box.exec((*PYTHON, SLEEP, tag), timeout_s=60))
        await asyncio.sleep(0.5)
        start = time.monotonic()
    if (seconds := time.monotonic() - start) > CLOSE_S:
        yield f"closing took {seconds:.1f} s"
    await asyncio.wait([task], timeout=CLOSE_S)
    if not task.done():
        task.cancel()
        yield "the command goes on waiting after its box has closed"
    elif not isinstance(cause(task.exception() or OSError()), InfraError):
        yield f"the command must raise InfraError when its box closes, got {task!r:.200}"
    if left := await left_after(tag, 2):
        yield f"{len(left)} processes are left"


async def two_boxes(subject: Subject) -> AsyncIterator[str]:
    """Two boxes see nothing of each other; the end of one is not the other's"""
    tag = new_tag()
    async with subject.box() as first:
        async with subject.box() as second:
            await first.write("/tmp/mine", b"x")
            await first.write("mine", b"x")
            running = asyncio.ensure_future(first.exec((*PYTHON, SLEEP, tag), timeout_s=5))
            await asyncio.sleep(0.5)
            result = await shell(second, "ls -A . /tmp; cat /proc/[0-9]*/cmdline")
            await asyncio.wait([running])
        if b"mine" in result.stdout:
            yield "a box sees another's files"
        if tag.encode() in result.stdout:
            yield "a box sees another's processes"
        if problem := differs("a file after another box's end", await first.read("mine"), b"x"):
            yield problem


async def twenty_boxes(subject: Subject) -> AsyncIterator[str]:
    """Twenty boxes at once, each with its own state"""

    async def work(number: int) -> bytes:
        async with subject.box() as box:
            await box.write("number", str(number).encode())
            result = await python(box, "import time; time.sleep(0.2); print(open('number').read())")
            return result.stdout

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(number)) for number in range(NUM_BOXES)]
    said = [task.result() for task in tasks]
    if problem := differs("what they say", said, [b"%d\n" % i for i in range(NUM_BOXES)]):
        yield problem


async def descriptors(subject: Subject) -> AsyncIterator[str]:
    """Boxes leave no descriptor open in this process"""

    async def use() -> int:
        async with subject.box() as box:
            await shell(box, "echo x; sleep 9", timeout_s=0.2)
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    # A pool of connections may grow for a while; a leak grows for ever.
    counts = [await use() for _ in range(12)]
    if counts[-1] > counts[-4]:
        yield f"open descriptors grow with every box: {counts}"


async def killed_parent(subject: Subject) -> AsyncIterator[str]:
    """A parent that is killed leaves no process of its box"""
    tag = new_tag()
    work = Work(subject.make, BoxSpec(run=RUN), (*PYTHON, SLEEP, tag), b"")
    left = await left_after_kill(work, tag, ORPHAN_S)
    if left:
        end(left | tagged(tag))
        yield f"{len(left)} processes outlive their parent by {ORPHAN_S:g} s"
