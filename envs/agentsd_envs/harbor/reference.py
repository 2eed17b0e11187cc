"""Whether a task can tell right from wrong: its own solution must score, doing nothing must not.

Worth asking before a task of somebody else's is trained on. Knows nothing of policies.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentsd.errors import ConfigError
from agentsd.interfaces import Sandbox
from agentsd.types import Outcome
from agentsd_envs.harbor.rooms import Room, script_argv, snapshots
from agentsd_envs.harbor.verifier import first_line, graded

SOLVE_S = 600.0
"""For a solution whose task gives its agent no limit."""


@dataclass(frozen=True, slots=True)
class ReferenceCheck:
    """What the tests say about nothing and about the reference solution."""

    idle: Outcome
    solved: Outcome

    @property
    def is_sound(self) -> bool:
        """Whether the solution has a full score and doing nothing has none."""
        return self.idle.score == 0.0 and self.solved.score == 1.0


async def check_reference(room: Room) -> ReferenceCheck:
    """Grade an untouched box and a solved one. Raises ``ConfigError`` without a solution, and when
    the solution fails; ``InfraError``."""
    solution = room.folder.solution
    if solution is None:
        raise ConfigError(f"harbor task {room.folder.name}: has no solution/solve.sh to run")
    async with room.agent_box() as box:
        untouched = await snapshots(box).snapshot()
    async with room.agent_box({"/solution": solution}) as box:
        await _solve(box, room)
        solved = await snapshots(box).snapshot()
    return ReferenceCheck(await graded(room, untouched), await graded(room, solved))


async def _solve(box: Sandbox, room: Room) -> None:
    assert room.folder.solution is not None
    script = room.folder.solution / "solve.sh"
    result = await box.exec(
        script_argv("/solution/solve.sh", first_line(script)),
        timeout_s=room.folder.toml.agent.timeout_s or SOLVE_S,
    )
    if result.exit_code != 0:
        said = result.stderr.decode(errors="replace").strip().splitlines()
        ending = "its deadline" if result.is_timeout else f"exit code {result.exit_code}"
        reason = f": {said[-1]}" if said else ""
        raise ConfigError(
            f"harbor task {room.folder.name}: its solution ended with {ending}{reason}"
        )
