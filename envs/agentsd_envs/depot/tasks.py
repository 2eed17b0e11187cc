"""Seeded tasks for the depot: one key or two, one to three bins, jobs whose order matters.

The same split always holds the same tasks; no prompt stands in both splits. Knows nothing of
tools or of how a task is solved; ``expert`` does.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentsd.types import Task
from agentsd_envs.depot.expert import num_calls
from agentsd_envs.desk.tasks import NOTES, PEOPLE
from agentsd_envs.seeded import check_split, distinct_tasks, split_of

SHAPES = (
    ("take",),
    ("empty",),
    ("fill", "log"),
    ("log", "take"),
    ("take", "log"),
    ("log", "empty"),
    ("fill", "take"),
    ("log", "fill", "log"),
    ("log", "fill", "empty"),
    ("log", "take", "log"),
)
"""The jobs on one bin, in the order in which they are to be done."""

BINS_OF_KEYS: Mapping[int, tuple[int, ...]] = {1: (1,), 2: (2,), 3: (2, 1)}
"""By level: for each key, the number of bins it opens."""

LEVELS = tuple(BINS_OF_KEYS)

SLACK = 1
"""Calls beyond the needed ones: one mistake may be repaired, a second costs the task."""

PER_LEVEL = 150
"""More tasks than this of one level and split would not be distinct."""


def depot_tasks(split: str, count: int, levels: Sequence[int] = LEVELS) -> list[Task]:
    """``count`` distinct tasks, the levels taking turns.

    Raises ``ConfigError`` for an unknown split, or more tasks than there are.

    >>> [task.max_calls for task in depot_tasks("test", 3)]
    [10, 17, 19]
    """
    draws = endless_tasks(split, seed=0, levels=levels)
    prefix = f"depot/{split}"
    return distinct_tasks(draws, prefix, count, levels=levels, per_level=PER_LEVEL)


def endless_tasks(split: str, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[Task]:
    """Random tasks without end; what a user says may come again, over another depot.

    Raises ``ConfigError`` for an unknown split.
    """
    check_split("depot", split)
    rng = random.Random(f"depot/{split}/{seed}")
    for index in itertools.count():
        level = rng.choice(levels)
        visits, world = _draft(rng, level)
        prompt = " ".join(_sentence(visit) for visit in visits)
        if split_of(prompt) != split:
            continue
        jobs = [{"person": visit["person"], **job} for visit in visits for job in visit["jobs"]]
        data = {"level": level, "jobs": jobs, "world": world}
        yield Task(f"depot/{split}/{seed}/{index}", prompt, data, max_calls=num_calls(data) + SLACK)


def _draft(rng: random.Random, level: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Who lends a key for which jobs, and the world they are done in."""
    people, names = rng.sample(PEOPLE, 4), rng.sample(NOTES, 6)
    ids = rng.sample(range(200, 1000), len(people))
    bins = {
        name: {
            "count": rng.randint(20, 59),
            "room": rng.randint(60, 99),
            "keeper": rng.choice(people),
        }
        for name in names
    }
    visits: list[dict[str, Any]] = []
    for person, num_bins in zip(people, BINS_OF_KEYS[level], strict=False):
        jobs: list[dict[str, Any]] = []
        for name in (names.pop() for _ in range(num_bins)):
            bins[name]["keeper"] = person
            jobs += [_job(verb, name, rng) for verb in rng.choice(SHAPES)]
        visits.append({"person": person, "jobs": jobs})
    keys = {person: f"k-{id_}" for person, id_ in zip(people, ids, strict=True)}
    return visits, {"bins": bins, "keys": keys}


def _job(verb: str, name: str, rng: random.Random) -> dict[str, Any]:
    count = {"count": rng.randint(1, 9)} if verb == "take" else {}
    return {"verb": verb, "bin": name, **count}


def _sentence(visit: Mapping[str, Any]) -> str:
    """What the user says: @people and #bins, as in a chat window."""
    said = [
        f"take {job['count']} from #{job['bin']}"
        if job["verb"] == "take"
        else f"{job['verb']} #{job['bin']}"
        for job in visit["jobs"]
    ]
    return f"Key of @{visit['person']}: {', '.join(said)}."
