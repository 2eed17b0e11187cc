"""The desk: a small office behind an MCP server, with seeded tasks graded on its final state.

It is the environment of ``agentsd quickstart``, served in this process. Knows nothing of models;
the policy that ships with it is in ``policy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentsd.errors import ConfigError
from agentsd.interfaces import Env
from agentsd.snapshots import SnapshotEnv
from agentsd.tools.env import ToolEnv, opening
from agentsd.tools.mcp import McpConnection
from agentsd.types import Outcome, Task, Trajectory
from agentsd_envs.desk.expert import solved_state
from agentsd_envs.desk.server import desk_server
from agentsd_envs.desk.state import state_of
from agentsd_envs.desk.tasks import LEVELS, PER_LEVEL, desk_tasks
from agentsd_envs.desk.world import World, world_from


@dataclass(frozen=True, slots=True)
class DeskTaskset:
    """Implements ``Taskset``; made by ``taskset``."""

    count: int
    levels: tuple[int, ...]

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of ``"train"`` or ``"test"``, always the same. Raises ``ConfigError``."""
        return desk_tasks(split, self.count, self.levels)

    def env(self, task: Task) -> Env:
        """A fresh desk behind an MCP server of its own; implements ``Snapshots`` too."""
        world = world_from(task.data["world"])

        async def grade(trajectory: Trajectory) -> Outcome:
            return _graded(task, world)

        tools = ToolEnv(McpConnection(desk_server(world)), opening(task), grade=grade)
        return SnapshotEnv(tools, state_of(world))


def taskset(*, count: int | None = None, levels: Sequence[int] = LEVELS) -> DeskTaskset:
    """``count`` tasks in each split (all by default), of levels 1 to 3: up to 3, 5 and 6 calls.

    Raises ``ConfigError`` for levels that do not exist.
    """
    if not levels or not set(levels) <= set(LEVELS):
        raise ConfigError(f"desk: levels must be some of {list(LEVELS)}, got {list(levels)}")
    return DeskTaskset(count or PER_LEVEL * len(levels), tuple(levels))


def policy() -> Path:
    """The folder of the policy that ships with the desk."""
    return Path(__file__).parent / "policy"


def recipe() -> Path:
    """The recipe of ``agentsd quickstart``."""
    return Path(__file__).parent / "recipe.toml"


def _graded(task: Task, world: World) -> Outcome:
    """Full score when the desk looks as after the expert's work, else none."""
    wanted, found = solved_state(task), world.state()
    wrong = [part for part in wanted if wanted[part] != found[part]]
    return Outcome(0.0 if wrong else 1.0, f"wrong: {', '.join(wrong)}" if wrong else "")
