"""Run a task's tests and read the reward that they leave.

A reward that is missing, or tests that do not end, are 0 and not *unscored*: the tests run over
the policy's own files, so the policy may have caused it. Knows nothing of policies.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from agentsd.boxes import ExecResult
from agentsd.types import Outcome
from agentsd_envs.harbor.rooms import SETUP_S, Room, script_argv

REWARD_JSON = "/logs/verifier/reward.json"
REWARD_TEXT = "/logs/verifier/reward.txt"


async def graded(room: Room, workdir: bytes) -> Outcome:
    """Run ``/tests/test.sh`` over a working directory, in a box of its own, and give its reward.

    Raises ``InfraError`` when the box, not the tests, failed.
    """
    timeout_s = room.folder.toml.verifier.timeout_s
    script = room.folder.tests / "test.sh"
    async with room.test_box(workdir) as box:
        result = await box.exec(
            script_argv("/tests/test.sh", first_line(script)), timeout_s=timeout_s
        )
        if result.is_timeout:
            return Outcome(0.0, f"the tests did not end within {timeout_s:g} s")
        # By a command, because not every way of reading a file follows links into `/tmp`.
        for path in (REWARD_JSON, REWARD_TEXT):
            found = await box.exec(["cat", path], timeout_s=SETUP_S)
            if found.exit_code == 0:
                return read_reward(found.stdout.decode(errors="replace"), path)
    return Outcome(0.0, f"the tests left no reward: {_last_words(result)}")


def read_reward(text: str, path: str) -> Outcome:
    """The reward in ``reward.json``: a number, or an object with ``reward`` or with one number
    alone; or the number in ``reward.txt``."""
    try:
        value = json.loads(text)
    except ValueError:
        return Outcome(0.0, f"{path} is not a number: {text.strip()[:80]!r}")
    rewards: dict[str, Any] = value if isinstance(value, dict) else {"reward": value}
    alone = next(iter(rewards.values())) if len(rewards) == 1 else None
    chosen: Any = rewards.get("reward", alone)
    if not _is_finite(chosen):
        return Outcome(0.0, f"{path} holds no one finite reward: {text.strip()[:80]!r}")
    return Outcome(float(chosen), "" if len(rewards) == 1 else json.dumps(rewards))


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def first_line(script: Path) -> str:
    """The first line of a script of the task."""
    with script.open(encoding="utf-8", errors="replace") as lines:
        return lines.readline().strip()


def _last_words(result: ExecResult) -> str:
    said = (result.stderr or result.stdout).decode(errors="replace").strip().splitlines()
    return f"exit code {result.exit_code}" + (f", {said[-1][:200]}" if said else "")
