"""What the seeded task families share: two splits without a common prompt, levels in turn.

Knows nothing of what a task asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from agentsd.errors import ConfigError
from agentsd.types import Task

SPLITS = ("train", "test")


def check_split(family: str, split: str) -> None:
    """Raises ``ConfigError`` for an unknown split."""
    if split not in SPLITS:
        raise ConfigError(f"{family} has no split {split!r}; expected one of {', '.join(SPLITS)}")


def split_of(prompt: str) -> str:
    """One prompt in eight is held out, whatever seed it was drawn with."""
    return "test" if hashlib.sha256(prompt.encode()).digest()[0] < 32 else "train"


def distinct_tasks(
    draws: Iterator[Task], prefix: str, count: int, *, levels: Sequence[int], per_level: int
) -> list[Task]:
    """``count`` tasks with different prompts out of ``draws``, the levels taking turns.

    ``prefix`` is ``family/split``; ids are numbered behind it. Raises ``ConfigError`` for more
    tasks than there are: ``per_level`` of each level.
    """
    most = per_level * len(levels)
    if not 1 <= count <= most:
        family = prefix.partition("/")[0]
        raise ConfigError(f"{family} has 1 to {most} tasks of these levels, got a count of {count}")
    tasks: list[Task] = []
    seen: set[str] = set()
    while len(tasks) < count:
        task = next(draws)
        level = levels[len(tasks) % len(levels)]
        if task.data["level"] == level and task.prompt not in seen:
            seen.add(task.prompt)
            tasks.append(replace(task, id=f"{prefix}/{len(tasks):05d}"))
    return tasks
