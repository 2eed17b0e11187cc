"""The whole state of a desk as JSON, so that an episode can go back in time.

``World.state`` is what tasks are graded on; this is everything. Knows nothing of servers or tasks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from agentsd.snapshots import JsonState
from agentsd_envs.desk.world import World, world_from


def state_of(world: World) -> JsonState:
    """Snapshots of the world; restoring one changes it in place."""
    return JsonState(partial(_dump, world), partial(_load, world))


def _dump(world: World) -> dict[str, Any]:
    return {**world.state(), "contacts": world.contacts}


def _load(world: World, value: dict[str, Any]) -> None:
    old = world_from(value)
    world.notes, world.contacts, world.events = old.notes, old.contacts, old.events
    world.outbox = [(to, text) for to, text in value["outbox"]]
