"""Short exercises that the policy does before it sees whole demonstrations.

A demonstration copies a handful of values in hundreds of tokens, too few to learn copying from;
an exercise is nothing but copying. ``copying`` moves values from a user's notation into JSON;
``planning`` writes down all arguments that a task's prompt determines, in the order of the calls.
Knows nothing of tokens, tools or training.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping

from agentsd.types import Message, Task
from agentsd_envs.desk.expert import perform, steps
from agentsd_envs.desk.tasks import NOTES, PEOPLE, TITLES, WORDS, endless_tasks
from agentsd_envs.desk.world import DAYS, world_from

MARKS = {
    "person": "@{}",
    "copy": "&{}",
    "name": "#{}",
    "plus": "+{}",
    "into": "={}",
    "title": "*{}*",
}
"""How a user marks what kind of thing a word is."""

FROM_THE_PROMPT = {
    "read_note": ("name",),
    "find_contact": ("person",),
    "list_events": ("day",),
    "add_event": ("day", "hour", "title"),
    "write_note": ("name",),
}
"""Arguments that the prompt alone determines; the others come out of a tool."""


def copying(count: int, seed: int) -> Iterator[list[Message]]:
    """Values as a user writes them, then the same values in JSON, in another order."""
    rng = random.Random(seed)
    for _ in range(count):
        day = rng.choice(list(DAYS))
        said = {
            "person": rng.choice(PEOPLE),
            "copy": rng.choice(PEOPLE),
            "name": rng.choice(NOTES),
            "plus": rng.choice(NOTES),
            "into": rng.choice(NOTES),
            "title": rng.choice(TITLES),
            "day": day,
            "to": f"c-{rng.randint(200, 999)}",
            "text": f"{rng.choice(WORDS)} {rng.randint(100, 999)}",
        }
        shown = [MARKS.get(key, "{}").format(value) for key, value in _shuffled(said, rng)]
        asked = dict(_shuffled(said | {"day": DAYS[day]}, rng))
        yield [Message("user", " ".join(shown)), Message("assistant", json.dumps(asked))]


def planning(count: int, seed: int) -> Iterator[list[Message]]:
    """The prompt of a training task, then the arguments it determines, one call a line."""
    for task in itertools.islice(endless_tasks("train", seed), count):
        plan = "\n".join(json.dumps(arguments) for arguments in _planned(task))
        yield [Message("user", task.prompt), Message("assistant", plan)]


def _planned(task: Task) -> Iterator[dict[str, object]]:
    world, run = world_from(task.data["world"]), steps(task)
    step = next(run)
    while True:
        known = FROM_THE_PROMPT.get(step.tool)
        if known:
            yield {key: step.arguments[key] for key in known}
        try:
            step = run.send(perform(world, step))
        except StopIteration:
            return


def _shuffled(values: Mapping[str, str], rng: random.Random) -> list[tuple[str, str]]:
    return rng.sample(list(values.items()), len(values))
