"""Seeded tasks for the desk: one to three errands each, graded on the final state.

The same split always holds the same tasks; no prompt stands in both splits. Knows nothing of
tools or of how a task is solved; ``expert`` does.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentsd.errors import ConfigError
from agentsd.types import Task
from agentsd_envs.desk.world import DAYS, FIRST_HOUR, LAST_HOUR

PEOPLE = ("Mia", "Noah", "Lena", "Omar", "Ruth", "Ivan", "Zoe", "Paul")
NOTES = ("plan", "rent", "fuel", "menu", "trip", "bills", "paint", "books", "seeds", "tea")
TITLES = ("review", "lunch", "demo", "call", "interview", "rehearsal", "audit", "training")
WORDS = ("room", "gate", "desk", "shelf", "bus", "seat", "door", "floor")
ERRANDS = {"tell": 3, "book": 1, "total": 4, "remind": 3}
"""Kind of errand to the number of calls it needs."""

SLACK = 1
"""Calls beyond the needed ones: one mistake may be repaired, a second costs the task."""

LEVELS = (1, 2, 3)
SPLITS = ("train", "test")


PER_LEVEL = 120
"""More tasks than this of one level and split would not be distinct."""


def desk_tasks(split: str, count: int, levels: Sequence[int] = LEVELS) -> list[Task]:
    """``count`` distinct tasks, the levels taking turns; level k has k errands.

    Raises ``ConfigError`` for an unknown split, or more tasks than there are.

    >>> [task.data["level"] for task in desk_tasks("test", 4)]
    [1, 2, 3, 1]
    """
    most = PER_LEVEL * len(levels)
    if not 1 <= count <= most:
        raise ConfigError(f"desk has 1 to {most} tasks of these levels, got a count of {count}")
    tasks: list[Task] = []
    seen: set[str] = set()
    draws = endless_tasks(split, seed=0, levels=levels)
    while len(tasks) < count:
        task = next(draws)
        level = levels[len(tasks) % len(levels)]
        if task.data["level"] == level and task.prompt not in seen:
            seen.add(task.prompt)
            tasks.append(replace(task, id=f"desk/{split}/{len(tasks):05d}"))
    return tasks


def endless_tasks(split: str, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[Task]:
    """Random tasks without end; what a user says may come again, over another desk.

    Raises ``ConfigError`` for an unknown split.
    """
    if split not in SPLITS:
        raise ConfigError(f"desk has no split {split!r}; expected one of {', '.join(SPLITS)}")
    rng = random.Random(f"desk/{split}/{seed}")
    for index in itertools.count():
        level = rng.choice(levels)
        errands, world = _draft(rng, level)
        prompt = " ".join(_sentence(errand) for errand in errands)
        if _split_of(prompt) != split:
            continue
        calls = sum(ERRANDS[errand["kind"]] for errand in errands)
        data = {"level": level, "errands": errands, "world": world}
        yield Task(f"desk/{split}/{seed}/{index}", prompt, data, max_calls=calls + SLACK)


def _split_of(prompt: str) -> str:
    """One prompt in eight is held out, whatever seed it was drawn with."""
    return "test" if hashlib.sha256(prompt.encode()).digest()[0] < 32 else "train"


def _draft(rng: random.Random, level: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Errands that do not touch each other's notes, people or hours, and the world they need."""
    kinds = [rng.choice(list(ERRANDS)) for _ in range(level)]
    people: list[str] = rng.sample(PEOPLE, 6)
    notes: list[str] = rng.sample(NOTES, 10)
    slots = rng.sample([(day, h) for day in DAYS for h in range(FIRST_HOUR, LAST_HOUR + 1)], 6)
    ids = rng.sample(range(200, 1000), len(people))
    world: dict[str, Any] = {
        "notes": {},
        "contacts": {person: f"c-{id_}" for person, id_ in zip(people, ids, strict=True)},
        "events": [],
    }
    errands = [_errand(kind, rng, people, notes, slots, world) for kind in kinds]
    return errands, world


def _errand(
    kind: str,
    rng: random.Random,
    people: list[str],
    notes: list[str],
    slots: list[tuple[str, int]],
    world: dict[str, Any],
) -> dict[str, Any]:
    """Take what the errand needs out of the pools and put it into the world."""
    if kind == "total":
        a, b, into = notes.pop(), notes.pop(), notes.pop()
        world["notes"] |= {a: str(rng.randint(10, 99)), b: str(rng.randint(10, 99))}
        return {"kind": kind, "a": a, "b": b, "into": into}
    if kind == "tell":
        note = notes.pop()
        world["notes"][note] = f"{rng.choice(WORDS)} {rng.randint(100, 999)}"
        return {"kind": kind, "person": people.pop(), "note": note}
    day, hour = slots.pop()
    if kind == "book":
        return {"kind": kind, "day": day, "hour": hour, "title": rng.choice(TITLES)}
    world["events"].append([DAYS[day], hour, rng.choice(TITLES)])
    return {"kind": kind, "person": people.pop(), "day": day}


def _sentence(errand: Mapping[str, Any]) -> str:
    """What the user says: @people, #notes, "titles", as in a chat window."""
    match errand["kind"]:
        case "tell":
            return f"Send @{errand['person']} the text of #{errand['note']}."
        case "book":
            return f'Book "{errand["title"]}" on {errand["day"]} at {errand["hour"]}.'
        case "total":
            a, b, into = errand["a"], errand["b"], errand["into"]
            return f"Add the numbers in #{a} and #{b}, save the sum in #{into}."
        case _:
            return f"Send @{errand['person']} the events of {errand['day']}."
