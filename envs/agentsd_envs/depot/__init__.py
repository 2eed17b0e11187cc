"""The depot: locked bins behind an MCP server, where order and state decide and mistakes show late.

Harder than the desk: a forgotten step is refused some calls later or never, and is then seen only
in the final state, on which tasks are graded. Episodes can go back in time. Served in this process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from agentsd.errors import ConfigError
from agentsd.interfaces import Env
from agentsd.snapshots import JsonState, SnapshotEnv
from agentsd.tools.env import ToolEnv, opening
from agentsd.tools.mcp import McpConnection
from agentsd.types import Outcome, Task, Trajectory
from agentsd_envs.depot.expert import solved_state
from agentsd_envs.depot.server import depot_server
from agentsd_envs.depot.tasks import LEVELS, PER_LEVEL, depot_tasks
from agentsd_envs.depot.world import World, dumped, reload, world_from


@dataclass(frozen=True, slots=True)
class DepotTaskset:
    """Implements ``Taskset``; made by ``taskset``."""

    count: int
    levels: tuple[int, ...]

    def tasks(self, split: str) -> Sequence[Task]:
        """The tasks of ``"train"`` or ``"test"``, always the same. Raises ``ConfigError``."""
        return depot_tasks(split, self.count, self.levels)

    def env(self, task: Task) -> Env:
        """A fresh depot behind an MCP server of its own; implements ``Snapshots`` too."""
        world = world_from(task.data["world"])

        async def grade(trajectory: Trajectory) -> Outcome:
            return _graded(task, world)

        tools = ToolEnv(McpConnection(depot_server(world)), opening(task), grade=grade)
        return SnapshotEnv(tools, JsonState(partial(dumped, world), partial(reload, world)))


def taskset(*, count: int | None = None, levels: Sequence[int] = LEVELS) -> DepotTaskset:
    """``count`` tasks in each split (all by default), of levels 1 to 3: so many bins each.

    Raises ``ConfigError`` for levels that do not exist.
    """
    if not levels or not set(levels) <= set(LEVELS):
        raise ConfigError(f"depot: levels must be some of {list(LEVELS)}, got {list(levels)}")
    every = PER_LEVEL * len(levels)
    return DepotTaskset(every if count is None else count, tuple(levels))


def _graded(task: Task, world: World) -> Outcome:
    """Full score when the depot looks as after the expert's work, else none."""
    wanted, found = solved_state(task), world.state()
    wrong = [part for part in wanted if wanted[part] != found[part]]
    return Outcome(0.0 if wrong else 1.0, f"wrong: {', '.join(wrong)}" if wrong else "")
