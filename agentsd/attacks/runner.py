"""Run attacks against a backend, each in a box of its own, and look at the host afterwards.

What the host sees overrules what the payload says. Knows nothing of any backend.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Sequence

from agentsd.attacks.attack import LIMITS, Attack, AttackReport, Ending, MakeBackend, Scene, Target
from agentsd.attacks.inside import Report, succeeded
from agentsd.attacks.lures import Lures, lay_lures
from agentsd.attacks.sending import BROKEN, PYTHON
from agentsd.attacks.suite import ATTACKS
from agentsd.attacks.survivors import end, left_after, resident_bytes
from agentsd.boxes import MIB, BoxSpec
from agentsd.errors import InfraError
from agentsd.interfaces import Sandbox

RUN = "attacks"
LEFT_S = 2.0
"""How long a killed process may take to disappear."""
CLOSE_S = 30.0
ANSWER_S = 10.0
LATE_S = 60.0
"""How long past its deadline an attack may keep the host busy, all in all."""
HOST_BYTES = 256 * MIB
"""What one attack may cost this process."""
ENDINGS = {"stopped": Ending.BLOCKED, "succeeded": Ending.SUCCEEDED, BROKEN: Ending.BROKEN}


async def run_attacks(
    make: MakeBackend,
    attacks: Sequence[Attack] = ATTACKS,
    *,
    at_once: int = 4,
    on_report: Callable[[AttackReport], None] = lambda report: None,
) -> list[AttackReport]:
    """Make every attack on the boxes of ``make()``: heavy ones alone, the others ``at_once``.

    Returns one report each, in order.

    A secret in this process's environment and an inheritable descriptor are part of the attacks,
    so nothing else should start processes meanwhile. Raises ``ConfigError`` where the backend does
    not work on this machine.
    """
    target = Target(make, make())
    async with target.backend.box(BoxSpec(limits=LIMITS, run=RUN)):
        pass  # so that a backend that does not work says so once, and not in a group
    reports: dict[str, AttackReport] = {}
    places = asyncio.Semaphore(at_once)

    async def launch(attack: Attack) -> None:
        async with places:
            reports[attack.category + attack.name] = report = await _run_attack(target, attack)
            on_report(report)

    async with asyncio.TaskGroup() as group:
        for attack in attacks:
            if not attack.is_heavy:
                group.create_task(launch(attack))
    for attack in attacks:
        if attack.is_heavy:
            await launch(attack)
    return [reports[attack.category + attack.name] for attack in attacks]


async def _run_attack(target: Target, attack: Attack) -> AttackReport:
    """Make one attack, and watch what it costs this process."""
    start, memory = time.monotonic(), resident_bytes()
    peak = memory

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident_bytes())
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        report = await _made(target, attack)
        watching.cancel()
    if report.ending == "stopped" and attack.is_heavy and peak - memory > HOST_BYTES:
        report = succeeded(f"the host process grew by {(peak - memory) // MIB} MiB")
    return AttackReport(
        attack.name,
        attack.category,
        attack.tried,
        ENDINGS[report.ending],
        printable(report.detail),
        time.monotonic() - start,
    )


async def _made(target: Target, attack: Attack) -> Report:
    """How the attack ended, all things seen. Never raises."""
    tag = f"agentsd-attack-{secrets.token_hex(8)}"
    try:
        async with lay_lures() as lures:
            report = await _in_box(target, attack, lures, tag)
            if left := await left_after(tag, LEFT_S):
                end(left)
                if report.ending == "stopped":
                    return succeeded(f"{len(left)} processes are left after the box has closed")
            return report
    except Exception as error:  # noqa: BLE001 - whatever it raises is the finding
        cause = _cause(error)
        return Report(BROKEN, f"{type(cause).__name__}: {cause}")


async def _in_box(target: Target, attack: Attack, lures: Lures, tag: str) -> Report:
    """Open a box and attack it; once it is open, its death is the attack's success."""
    spec = BoxSpec(limits=attack.limits, run=RUN)
    opening = target.backend.box(spec)
    box = await opening.__aenter__()
    report = Report(BROKEN, "interrupted")
    try:
        bait = lures.bait(attack.limits, await _residents(box))
        scene = Scene(target, spec, box, lures, bait, tag, attack.timeout_s, attack.may_die)
        report = await _attacked(scene, attack)
    finally:
        try:
            async with asyncio.timeout(CLOSE_S):
                await opening.__aexit__(None, None, None)
        except (TimeoutError, InfraError) as error:
            report = succeeded(f"the box did not close: {error or f'not within {CLOSE_S:g} s'}")
    return report


async def _attacked(scene: Scene, attack: Attack) -> Report:
    try:
        async with asyncio.timeout(attack.timeout_s + LATE_S):
            report = await attack.drive(scene, attack.payload)
    except TimeoutError:
        return succeeded("a call hung")
    except InfraError as error:
        return succeeded(f"the box died: {error}")
    except ExceptionGroup as errors:
        if isinstance(cause := _cause(errors), InfraError):
            return succeeded(f"the box died: {cause}")
        raise
    if harm := next(scene.lures.harm(b"\0".join(scene.seen)), None):
        return succeeded(harm)
    if report.ending == "stopped" and (left := await left_after(scene.tag, LEFT_S)):
        return succeeded(f"{len(left)} processes are left after the command")
    if report.ending == "stopped" and (silence := await _silence(scene.box)):
        return succeeded(silence)
    return report


async def _residents(box: Sandbox) -> tuple[int, ...]:
    """Processes that are in the box before the attack. Raises ``RuntimeError`` without Python."""
    code = "import os; print(os.getpid(), *filter(str.isdigit, os.listdir('/proc')))"
    result = await box.exec((*PYTHON, code), timeout_s=ANSWER_S)
    if result.exit_code != 0:
        said = result.stderr.decode(errors="replace").strip()[-200:]
        raise RuntimeError(f"no python3 in the box to attack it with: {said}")
    own, *others = (int(word) for word in result.stdout.split())
    return tuple(pid for pid in others if pid != own)


async def _silence(box: Sandbox) -> str:
    """Why the box no longer answers; empty when it does."""
    try:
        async with asyncio.timeout(2 * ANSWER_S):
            result = await box.exec((*PYTHON, "print('alive')"), timeout_s=ANSWER_S)
    except TimeoutError:
        return "the box no longer answers"
    except InfraError as error:
        return f"the box died: {error}"
    if (result.exit_code, result.stdout) != (0, b"alive\n"):
        said = (result.stderr or result.stdout).decode(errors="replace").strip()[-100:]
        return f"the box no longer works: exit code {result.exit_code}, {said}"
    return ""


def _cause(error: BaseException) -> BaseException:
    """The only error in a group of one, at any depth."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def printable(text: str) -> str:
    """One line that does nothing to a terminal: it may hold what an attacker wrote."""
    return "".join(c if c.isprintable() else " " for c in text)[:160].strip()


def unblocked(reports: Sequence[AttackReport]) -> Iterator[str]:
    """A line for every attack that was not blocked."""
    for report in reports:
        if not report.blocked:
            yield f"{report.category}: {report.name}: {report.ending}: {report.stopped_by}"
