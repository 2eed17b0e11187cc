"""How the host takes part in an attack: it runs the payload, and walks into the traps it set.

Whatever a read or write gives is kept in the scene, where the secret is looked for afterwards.
Knows nothing of any backend.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable

from agentsd.attacks.attack import Drive, Payload, Scene
from agentsd.attacks.inside import Report, error_name, stopped, succeeded
from agentsd.attacks.orphan import Work, left_after_kill
from agentsd.attacks.payloads import neighbours, terminal
from agentsd.attacks.sending import BROKEN, command, program, read_report, send
from agentsd.attacks.survivors import end, tagged, user_of
from agentsd.errors import InfraError
from agentsd.interfaces import Snapshots

API_S = 30.0
"""How long one read or write may take."""
RETURN_S = 10.0
"""How long after its main process a command may return."""

ORPHAN_S = 10.0
"""How long a box may outlive its parent."""


async def plain(scene: Scene, payload: Payload) -> Report:
    """Run the payload; it knows best, and the host's own checks overrule it."""
    report = read_report(await send(scene, payload), may_die=scene.may_die)
    return stopped(report.detail) if report.ending == "ready" else report


async def prompt(scene: Scene, payload: Payload) -> Report:
    """Run a payload that ends at once: the command must too, whatever it left behind."""
    result = await send(scene, payload)
    if result.is_timeout or result.seconds > RETURN_S:
        return succeeded(f"the command returned after {result.seconds:.0f} s, not at once")
    report = read_report(result, may_die=scene.may_die)
    return stopped(report.detail) if report.ending == "ready" else report


def walking_into(*paths: str, read: bool = True, write: bool = True) -> Drive:
    """Run the payload, then read and write ``paths`` as a tool of the host would.

    ``{marker}`` stands for the host file's path, ``{name}`` for its name, ``{key}`` for a number.
    """

    async def drive(scene: Scene, payload: Payload) -> Report:
        report = read_report(await send(scene, payload), may_die=scene.may_die)
        if report.ending != "ready":
            return report
        marker = scene.lures.marker
        endings = []
        for path in paths:
            path = path.format(marker=marker, name=marker.name, key=scene.bait.key)
            if read:
                endings.append(await _tried(scene, scene.box.read(path)))
            if write:
                endings.append(await _tried(scene, scene.box.write(path, b"overwritten")))
        return stopped(", ".join(dict.fromkeys(endings)))

    return drive


async def _tried(scene: Scene, act: Awaitable[bytes | None]) -> str:
    """How a read or write ended. Raises ``TimeoutError`` when it hangs, and what it should not."""
    try:
        async with asyncio.timeout(API_S):
            data = await act
    except TimeoutError as error:
        # A read may refuse with ETIMEDOUT, which is the same class.
        if error.errno is None:
            raise
        return "ETIMEDOUT"
    except OSError as error:
        return error_name(error)
    except ValueError:
        return "ValueError"
    scene.seen.append(data or b"")
    return "only the box's own files"


async def racing(scene: Scene, payload: Payload) -> Report:
    """Read in a folder that the payload keeps swapping."""
    endings = set[str]()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(send(scene, payload))
        while not running.done():
            endings.add(await _tried(scene, scene.box.read(f"trap/{scene.lures.marker.name}")))
            await asyncio.sleep(0.001)
    report = read_report(running.result(), may_die=scene.may_die)
    return stopped(", ".join(sorted(endings))) if report.ending == "ready" else report


async def taking_snapshot(scene: Scene, payload: Payload) -> Report:
    """Run the payload, then take a snapshot and restore it; refusing is as good."""
    report = read_report(await send(scene, payload), may_die=scene.may_die)
    if report.ending != "ready":
        return report
    box = scene.box
    if not isinstance(box, Snapshots):
        return stopped("the box takes no snapshots")
    try:
        async with asyncio.timeout(2 * API_S):
            snapshot = await box.snapshot()
            await box.restore(snapshot)
    except (OSError, InfraError) as error:
        if isinstance(error, TimeoutError):
            raise
        return stopped(f"refused: {error}")
    return stopped(f"a snapshot of {len(snapshot):,} bytes")


async def flooded(scene: Scene, payload: Payload) -> Report:
    """Take the flood: the cap holds, what is thrown away is counted, nothing hangs."""
    result = await send(scene, payload)
    cap = scene.spec.limits.output_bytes
    kept = max(len(result.stdout), len(result.stderr))
    total = len(result.stdout) + len(result.stderr) + result.truncated_bytes
    if result.exit_code != 0:
        return Report(BROKEN, f"the flood ended with exit code {result.exit_code}")
    if kept > cap:
        return succeeded(f"{kept:,} bytes were kept, the cap is {cap:,}")
    if total < terminal.FLOOD_BYTES:
        return succeeded(f"only {total:,} bytes are accounted for")
    return stopped(f"the cap: {kept:,} bytes kept, {result.truncated_bytes:,} counted")


async def printed(scene: Scene, payload: Payload) -> Report:
    """Escape sequences must arrive as the bytes they are; printing them is the reader's choice."""
    result = await send(scene, payload)
    report = read_report(result, may_die=scene.may_die)
    if report.ending == "ready" and terminal.ESCAPES not in result.stdout:
        return succeeded("escape sequences do not arrive as they were sent")
    return stopped("arrives as bytes") if report.ending == "ready" else report


async def beside_neighbour(scene: Scene, payload: Payload) -> Report:
    """Run the payload while another box offers something; its tag is looked for, too."""
    other_tag = f"{scene.tag}-neighbour"
    async with scene.target.backend.box(scene.spec) as other, asyncio.TaskGroup() as group:
        stdin = program(neighbours.offer, scene.bait)
        offering = group.create_task(
            other.exec(command(other_tag), timeout_s=scene.timeout_s, stdin=stdin)
        )
        await _until_visible(other_tag)
        report = await plain(scene, payload)
        is_beside = not offering.done()
    offered = read_report(offering.result(), may_die=False)
    if offered.ending != "ready" or not is_beside:
        return Report(BROKEN, f"the neighbour offered nothing: {offered.detail}")
    if any(other_tag.encode() in data for data in scene.seen):
        return succeeded("a process of the neighbour is visible")
    return report


async def _until_visible(tag: str) -> None:
    """Wait for a process with the tag, and then until its interpreter has surely started."""
    stop = time.monotonic() + 2
    while not tagged(tag) and time.monotonic() < stop:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)


async def with_more(scene: Scene, payload: Payload) -> Report:
    """Run the payload, then check that a write and a read of the host still end."""
    report = read_report(await send(scene, payload), may_die=scene.may_die)
    if report.ending != "ready":
        return report
    endings = [await _tried(scene, scene.box.write("more", b"x" * 4096))]
    endings.append(await _tried(scene, scene.box.read("fill")))
    return stopped(", ".join(dict.fromkeys(endings)))


async def seen_from_host(scene: Scene, payload: Payload) -> Report:
    """Look at the payload's processes from outside while they run: user 0 must not be there."""
    users = set[int]()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(send(scene, payload))
        while not running.done():
            users |= set(map(user_of, tagged(scene.tag)))
            await asyncio.sleep(0.1)
    report = read_report(running.result(), may_die=scene.may_die)
    if report.ending != "ready":
        return report
    if not users:
        return Report(BROKEN, "no process of the box can be seen from this host")
    if 0 in users:
        return succeeded("a process of the payload is the host's user 0")
    return stopped(f"it is the host's user {', '.join(map(str, sorted(users)))}")


async def beating(scene: Scene, payload: Payload) -> Report:
    """Look for a process too short-lived to be seen: it keeps writing a file called ``beat``."""
    report = await plain(scene, payload)
    before = await scene.box.read("beat")
    await asyncio.sleep(1)
    if await scene.box.read("beat") != before:
        return succeeded("something still writes to the working directory")
    return report


async def parent_killed(scene: Scene, payload: Payload) -> Report:
    """Run the payload in a box of another process, and kill that process."""
    tag = f"{scene.tag}-orphan"
    work = Work(scene.target.make, scene.spec, command(tag), program(payload, scene.bait))
    try:
        left = await left_after_kill(work, tag, ORPHAN_S)
    except RuntimeError as error:
        return Report(BROKEN, str(error))
    end(left)
    if left:
        return succeeded(f"{len(left)} processes outlived the parent by {ORPHAN_S:g} s")
    return stopped("the box ended with its parent")


async def interrupted(scene: Scene, payload: Payload) -> Report:
    """Cancel the call in the middle: the payload must be gone, and the box answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await send(scene, payload)
            return Report(BROKEN, "the payload ended before it was cancelled")
    return stopped("killed when the call was cancelled")
