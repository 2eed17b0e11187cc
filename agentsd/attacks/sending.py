"""Send a payload into a box as source text, and read its report.

A report that is missing is never taken for a blocked attack. Knows nothing of any one attack.
"""

from __future__ import annotations

import importlib
import inspect
import json
import signal
from collections.abc import Sequence

from agentsd.attacks.attack import Payload, Scene
from agentsd.attacks.inside import Bait, Report, stopped
from agentsd.boxes import ExecResult

PYTHON = ("python3", "-I", "-S", "-c")
MARK = b"AGENTSD-REPORT "
BROKEN = "broken"
"""Ending of a report that was never made."""
GRACE_S = 15.0
"""How long after its deadline a call may return."""
MODULES = ("agentsd.attacks.inside", "agentsd.attacks.kernel_calls")
BOOT = """
import json, sys, types
job = json.loads(sys.stdin.buffer.read())
for name, source in job["modules"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
bait = sys.modules["agentsd.attacks.inside"].Bait(**job["bait"])
report = getattr(module, job["payload"])(bait)
print("\\n" + job["mark"] + json.dumps(report), flush=True)
"""


def command(tag: str) -> Sequence[str]:
    """The command that runs a payload: its processes are known by ``tag``."""
    return (*PYTHON, BOOT, tag)


def program(payload: Payload, bait: Bait) -> bytes:
    """The payload with all it needs, for the standard input of ``command``."""
    names = (*MODULES, payload.__module__)
    job = {
        "modules": [(name, inspect.getsource(importlib.import_module(name))) for name in names],
        "payload": payload.__name__,
        "bait": bait._asdict(),
        "mark": MARK.decode(),
    }
    return json.dumps(job).encode()


def read_report(result: ExecResult, *, may_die: bool) -> Report:
    """What the payload reported, or how it ended without a report."""
    _, found, rest = result.stdout.rpartition(b"\n" + MARK)
    if found and rest.endswith(b"\n"):
        return Report(*json.loads(rest))
    if may_die and result.is_timeout:
        return stopped("killed at the deadline")
    if may_die and result.exit_code is not None and result.exit_code > 128:
        return stopped(f"killed by {_signal_name(result.exit_code - 128)}")
    lines = result.stderr.decode(errors="replace").strip().splitlines()
    ended = "the deadline passed" if result.is_timeout else f"exit code {result.exit_code}"
    return Report(BROKEN, f"no report, {ended}: {lines[-1] if lines else 'nothing on stderr'}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def send(scene: Scene, payload: Payload) -> ExecResult:
    """Run the payload in the box. What comes out is kept in the scene."""
    result = await scene.box.exec(
        command(scene.tag), timeout_s=scene.timeout_s, stdin=program(payload, scene.bait)
    )
    scene.seen += [result.stdout, result.stderr]
    return result
