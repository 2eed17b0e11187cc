"""One task for every turn of a conversation, behind the gold calls of the turns before it.

Knows nothing of episodes; ``World`` runs the calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentsd.schemas import first_schema_error
from agentsd.types import Task, ToolSpec
from agentsd_envs.bfcl.source import Entry
from agentsd_envs.bfcl.world import World

MORE_FUNCTIONS = "I have updated some more functions you can choose from. What about now?"
"""What the user says in a turn that offers held-back functions
(``DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC`` of the package)."""


@dataclass(frozen=True, slots=True)
class TurnTask:
    """A turn of a conversation as a task of its own."""

    task: Task
    entry: Entry
    turn: int
    offered: tuple[ToolSpec, ...]

    @property
    def gold(self) -> Sequence[str]:
        """The gold calls of this turn."""
        return self.entry.gold[self.turn]

    @property
    def gold_before(self) -> Sequence[str]:
        """The gold calls of all earlier turns."""
        return [call for turn in self.entry.gold[: self.turn] for call in turn]


def turn_tasks(
    entry: Entry, classes: Mapping[str, type[Any]], specs: Mapping[str, Sequence[ToolSpec]]
) -> Iterator[TurnTask]:
    """Every turn that can be solved with what is offered, in order.

    Left out are the few whose gold calls break the documented schema or use a function that is
    held back: 5 of 3,336 in release 2026.3.23. Raises ``DataError``.
    """
    world = World(entry, classes)
    every = [spec for name in entry.row.involved_classes for spec in specs[name]]
    said: list[str] = []
    for turn, gold in enumerate(entry.gold):
        held_back = {
            name
            for start, names in entry.row.missed_function.items()
            if start > turn
            for name in names
        }
        offered = tuple(spec for spec in every if spec.name not in held_back)
        request = "\n".join(each.content for each in entry.row.question[turn]) or MORE_FUNCTIONS
        calls = [world.bound(call) for call in gold]
        if _fit(calls, offered):
            prompt = _prompt(said, request)
            data = {"entry": entry.row.id, "category": entry.category, "turn": turn}
            task = Task(f"bfcl/{entry.row.id}/{turn}", prompt, data)
            yield TurnTask(task, entry, turn, offered)
        said += [f"User: {request}", *_shown(calls, world)]


def _fit(calls: Sequence[tuple[str, dict[str, Any]]], offered: Sequence[ToolSpec]) -> bool:
    by_name = {spec.name: spec for spec in offered}
    # As JSON, because a tuple is no array for the validator.
    return all(
        name in by_name and not first_schema_error(by_name[name], json.loads(json.dumps(arguments)))
        for name, arguments in calls
    )


def _shown(calls: Sequence[tuple[str, dict[str, Any]]], world: World) -> Iterator[str]:
    for name, arguments in calls:
        yield f"Called: {name} {json.dumps(arguments)}\nResult: {world.run(name, arguments)}"


def _prompt(said: Sequence[str], request: str) -> str:
    """The request, behind what was said and done before, as one message of text.

    Not as messages, because an assistant message in a trajectory is a turn of the policy.
    """
    if not said:
        return request
    earlier = "\n".join(said)
    return f"Earlier in this conversation:\n\n{earlier}\n\nThe request now:\n\n{request}"
