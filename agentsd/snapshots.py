"""Environments that can go back in time: an ``Env`` joined to the ``Snapshots`` of its state.

The state may be a box, or a value in memory that can be written as JSON. Knows nothing of replay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentsd.errors import DataError, InfraError
from agentsd.interfaces import Env, Snapshots
from agentsd.types import Message, Outcome, ToolCall, ToolResult, ToolSpec, Trajectory


@dataclass(frozen=True, slots=True)
class JsonState:
    """Implements ``Snapshots`` for state in memory, as JSON.

    >>> import asyncio
    >>> notes = ["milk"]
    >>> state = JsonState(lambda: notes, lambda value: notes.__setitem__(slice(None), value))
    >>> before = asyncio.run(state.snapshot())
    >>> notes.append("bread")
    >>> asyncio.run(state.restore(before))
    >>> notes
    ['milk']
    """

    dump: Callable[[], Any]
    """The state now: dicts with string keys, lists, strings, numbers, booleans and None."""
    load: Callable[[Any], None]
    """Makes the state what ``dump`` once gave; in place, because tools hold on to it."""

    async def snapshot(self) -> bytes:
        """The state as JSON. Raises ``InfraError`` for a state that JSON would change."""
        value = self.dump()
        try:
            text = json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InfraError(f"the state cannot be written as JSON: {error}") from error
        if json.loads(text) != value:
            raise InfraError(
                "the state changes when it is written as JSON; use lists instead of tuples, and "
                "strings as keys"
            )
        return text.encode()

    async def restore(self, snapshot: bytes) -> None:
        """Load a state that was dumped before. Raises ``DataError`` for other bytes."""
        try:
            value = json.loads(snapshot)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(f"this is no snapshot of a JSON state: {error}") from error
        self.load(value)


class SnapshotEnv:
    """Implements ``Env`` as ``env`` does and ``Snapshots`` as ``state`` does.

    A snapshot may be restored in another episode of the same task, once it is open.
    """

    def __init__(self, env: Env, state: Snapshots) -> None:
        self._env = env
        self._state = state

    @property
    def tools(self) -> Sequence[ToolSpec]:
        """What the policy is offered."""
        return self._env.tools

    async def open(self) -> Sequence[Message]:
        """Start the episode. Raises ``InfraError``."""
        return await self._env.open()

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one tool call. Raises only ``InfraError``."""
        return await self._env.call(call)

    async def grade(self, trajectory: Trajectory) -> Outcome | None:
        """Judge the final state."""
        return await self._env.grade(trajectory)

    async def close(self) -> None:
        """Release everything."""
        await self._env.close()

    async def snapshot(self) -> bytes:
        """The state now, self-contained. Raises ``InfraError``."""
        return await self._state.snapshot()

    async def restore(self, snapshot: bytes) -> None:
        """Make the state what it was when the snapshot was taken."""
        await self._state.restore(snapshot)
