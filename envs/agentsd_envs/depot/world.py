"""The state of one depot: locked bins, the keys to them, a log, and what can be done with them.

Order matters everywhere: a key is borrowed, its bins are opened, worked on and closed, and the key
goes back before the next one is borrowed. Knows nothing of tools, schemas, tasks or models.
Refusals are ``DepotError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class DepotError(Exception):
    """The depot says no, in words meant for the policy."""


@dataclass(slots=True)
class Bin:
    """One bin. Mutable."""

    count: int
    room: int
    """What it holds when it is full."""
    keeper: str
    """Whose key opens it."""


@dataclass(slots=True)
class World:
    """Everything in one depot. Mutable: it is the state of one episode."""

    bins: dict[str, Bin]
    keys: dict[str, str]
    """Person to the id of the key that they keep."""
    borrowed: str | None = None
    """The id of the key that is out."""
    open_bins: list[str] = field(default_factory=list[str])
    log: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    def borrow_key(self, person: str) -> str:
        """Take the key of a person; one at a time. Returns its id."""
        if person not in self.keys:
            raise DepotError(f"nobody called {person}")
        if self.borrowed is not None:
            raise DepotError(f"return {self.borrowed} first")
        self.borrowed = self.keys[person]
        return self.borrowed

    def return_key(self, key: str) -> str:
        """Give the key back, after all its bins are closed."""
        if key != self.borrowed:
            raise DepotError(f"{key} is not borrowed")
        if self.open_bins:
            raise DepotError(f"close {self.open_bins[0]} first")
        self.borrowed = None
        return "returned"

    def open_bin(self, name: str, key: str) -> str:
        """Open a bin with the key of its keeper."""
        wanted = self._bin(name)
        if key != self.borrowed:
            raise DepotError(f"{key} is not borrowed")
        if key != self.keys[wanted.keeper]:
            raise DepotError(f"{key} does not fit {name}")
        if name in self.open_bins:
            raise DepotError(f"{name} is open already")
        self.open_bins.append(name)
        return "opened"

    def close_bin(self, name: str) -> str:
        """Close an open bin."""
        self._opened(name)
        self.open_bins.remove(name)
        return "closed"

    def read_bin(self, name: str) -> str:
        """How much is in an open bin."""
        return str(self._opened(name).count)

    def fill_bin(self, name: str) -> str:
        """Fill an open bin to the brim; how much that is, only reading it tells."""
        wanted = self._opened(name)
        wanted.count = wanted.room
        return "filled"

    def take_out(self, name: str, count: int) -> str:
        """Take so much out of an open bin."""
        wanted = self._opened(name)
        if count > wanted.count:
            raise DepotError(f"{name} holds less")
        wanted.count -= count
        return "taken"

    def log_count(self, name: str, count: int) -> str:
        """Write down that a bin holds so much; nobody checks it here."""
        self._bin(name)
        self.log.append((name, count))
        return "logged"

    def state(self) -> dict[str, Any]:
        """What tasks are graded on: everything a tool can change."""
        return {
            "bins": {name: each.count for name, each in self.bins.items()},
            "borrowed": self.borrowed,
            "open": sorted(self.open_bins),
            "log": [list(entry) for entry in self.log],
        }

    def _bin(self, name: str) -> Bin:
        if name not in self.bins:
            raise DepotError(f"no bin {name}")
        return self.bins[name]

    def _opened(self, name: str) -> Bin:
        wanted = self._bin(name)
        if name not in self.open_bins:
            raise DepotError(f"{name} is locked")
        return wanted


def world_from(data: Mapping[str, Any]) -> World:
    """The world that plain JSON describes: ``Task.data["world"]``, or what ``dumped`` gave."""
    return World(
        bins={name: Bin(**each) for name, each in data["bins"].items()},
        keys=dict(data["keys"]),
        borrowed=data.get("borrowed"),
        open_bins=list(data.get("open", ())),
        log=[(name, count) for name, count in data.get("log", ())],
    )


def dumped(world: World) -> dict[str, Any]:
    """All of the world as plain JSON, which ``world_from`` reads."""
    bins = {
        name: {"count": each.count, "room": each.room, "keeper": each.keeper}
        for name, each in world.bins.items()
    }
    return {**world.state(), "bins": bins, "keys": dict(world.keys), "open": list(world.open_bins)}


def reload(world: World, data: Mapping[str, Any]) -> None:
    """Make the world, in place, what ``data`` describes."""
    old = world_from(data)
    world.bins, world.keys = old.bins, old.keys
    world.borrowed, world.open_bins, world.log = old.borrowed, old.open_bins, old.log
