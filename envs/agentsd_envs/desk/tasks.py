"""Seeded tasks for the desk: an errand of one to six calls, graded on the final state.

The same split always holds the same tasks; no prompt stands in both splits. Knows nothing of
tools or of how a task is solved; ``expert`` does.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentsd.types import Task
from agentsd_envs.desk.world import DAYS, FIRST_HOUR, LAST_HOUR
from agentsd_envs.seeded import check_split, distinct_tasks, split_of

PEOPLE = ("Mia", "Noah", "Lena", "Omar", "Ruth", "Ivan", "Zoe", "Paul")
NOTES = ("plan", "rent", "fuel", "menu", "trip", "bills", "paint", "books", "seeds", "tea")
TITLES = ("review", "lunch", "demo", "call", "interview", "rehearsal", "audit", "training")
WORDS = ("room", "gate", "desk", "shelf", "bus", "seat", "door", "floor")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of errand.

    Its prompt marks every name, as in a chat window: ``@`` and ``&`` people, ``#``, ``+`` and ``=``
    notes to read, to add and to write, ``*`` titles.
    """

    level: int
    num_calls: int
    """Calls that the errand needs."""
    prompt: str


KINDS = {
    "book": Kind(1, 1, "Book *{title}* on {day} at {hour}."),
    "note": Kind(1, 2, "Save the sum of {x} and {y} in ={c}."),
    "tell": Kind(1, 3, "Send @{p} the text of #{a}."),
    "remind": Kind(1, 3, "Send @{p} the events of {day}."),
    "total": Kind(2, 4, "Save the sum of #{a} +{b} in ={c}."),
    "share": Kind(2, 5, "Send @{p} the sum of #{a} +{b}."),
    "invite": Kind(2, 4, "Book *{title}* on {day} at {hour}, then send @{p} the events of {day}."),
    "tell both": Kind(3, 5, "Send @{p} &{q} the text of #{a}."),
    "remind both": Kind(3, 5, "Send @{p} &{q} the events of {day}."),
    "invite both": Kind(
        3, 6, "Book *{title}* on {day} at {hour}, then send @{p} &{q} the events of {day}."
    ),
}

SLACK = 1
"""Calls beyond the needed ones: one mistake may be repaired, a second costs the task."""

LEVELS = (1, 2, 3)

PER_LEVEL = 120
"""More tasks than this of one level and split would not be distinct."""


def desk_tasks(split: str, count: int, levels: Sequence[int] = LEVELS) -> list[Task]:
    """``count`` distinct tasks, the levels taking turns.

    Raises ``ConfigError`` for an unknown split, or more tasks than there are.

    >>> [task.data["level"] for task in desk_tasks("test", 4)]
    [1, 2, 3, 1]
    """
    draws = endless_tasks(split, seed=0, levels=levels)
    prefix = f"desk/{split}"
    return distinct_tasks(draws, prefix, count, levels=levels, per_level=PER_LEVEL)


def endless_tasks(split: str, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[Task]:
    """Random tasks without end; what a user says may come again, over another desk.

    Raises ``ConfigError`` for an unknown split.
    """
    check_split("desk", split)
    rng = random.Random(f"desk/{split}/{seed}")
    for index in itertools.count():
        level = rng.choice(levels)
        errand, world = _draft(rng, level)
        kind = KINDS[errand["kind"]]
        prompt = kind.prompt.format(**errand)
        if split_of(prompt) != split:
            continue
        data = {"level": level, "errand": errand, "world": world}
        calls = kind.num_calls + SLACK
        yield Task(f"desk/{split}/{seed}/{index}", prompt, data, max_calls=calls)


def _draft(rng: random.Random, level: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """An errand of this level and the world it needs."""
    kind = rng.choice([name for name, kind in KINDS.items() if kind.level == level])
    people, notes = rng.sample(PEOPLE, 6), rng.sample(NOTES, 3)
    errand: dict[str, Any] = {
        "kind": kind,
        "day": rng.choice(list(DAYS)),
        "hour": rng.randint(FIRST_HOUR, LAST_HOUR),
        "title": rng.choice(TITLES),
        "x": rng.randint(10, 99),
        "y": rng.randint(10, 99),
        **dict(zip("pq", people, strict=False)),
        **dict(zip("abc", notes, strict=True)),
    }
    ids = rng.sample(range(200, 1000), len(people))
    world = {
        "notes": {note: _note_text(kind, rng) for note in notes[:2]},
        "contacts": {person: f"c-{id_}" for person, id_ in zip(people, ids, strict=True)},
        "events": [] if "{title}" in KINDS[kind].prompt else [_event(errand, rng)],
    }
    return errand, world


def _note_text(kind: str, rng: random.Random) -> str:
    """A place where it will be sent, else a number."""
    if kind.startswith("tell"):
        return f"{rng.choice(WORDS)} {rng.randint(100, 999)}"
    return str(rng.randint(10, 99))


def _event(errand: Mapping[str, Any], rng: random.Random) -> list[object]:
    return [DAYS[errand["day"]], errand["hour"], rng.choice(TITLES)]
