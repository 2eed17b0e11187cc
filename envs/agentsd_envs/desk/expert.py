"""How every desk task is solved, one call at a time. Knows nothing of mistakes, hints or models."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from agentsd.types import Task
from agentsd_envs.desk.world import DAYS, World, world_from

ANSWER = "Done."
"""What the expert says when every errand is run."""

Steps = Generator["Step", str, None]
"""Yields a step, is sent the text of its result."""


@dataclass(frozen=True, slots=True)
class Step:
    """One correct call."""

    tool: str
    arguments: Mapping[str, Any]


def steps(task: Task) -> Steps:
    """The shortest sequence of calls that solves the task."""
    for errand in task.data["errands"]:
        yield from _STEPS[errand["kind"]](errand)


def solved_state(task: Task) -> dict[str, object]:
    """The state of the desk after the expert has worked on it; what tasks are graded against."""
    world = world_from(task.data["world"])
    run = steps(task)
    result: str | None = None
    while (step := _next(run, result)) is not None:
        result = perform(world, step)
    return world.state()


def perform(world: World, step: Step) -> str:
    """Do a step on the world without any tool in between. Returns the result's text."""
    return getattr(world, step.tool)(**step.arguments)


def _next(run: Steps, result: str | None) -> Step | None:
    try:
        return next(run) if result is None else run.send(result)
    except StopIteration:
        return None


def _tell(errand: Mapping[str, Any]) -> Steps:
    text = yield Step("read_note", {"name": errand["note"]})
    to = yield Step("find_contact", {"person": errand["person"]})
    yield Step("send_message", {"to": to, "text": text})


def _book(errand: Mapping[str, Any]) -> Steps:
    where = {"day": DAYS[errand["day"]], "hour": errand["hour"]}
    yield Step("add_event", where | {"title": errand["title"]})


def _total(errand: Mapping[str, Any]) -> Steps:
    a = yield Step("read_note", {"name": errand["a"]})
    b = yield Step("read_note", {"name": errand["b"]})
    total = yield Step("add", {"a": int(a), "b": int(b)})
    yield Step("write_note", {"name": errand["into"], "text": total})


def _remind(errand: Mapping[str, Any]) -> Steps:
    text = yield Step("list_events", {"day": DAYS[errand["day"]]})
    to = yield Step("find_contact", {"person": errand["person"]})
    yield Step("send_message", {"to": to, "text": text})


_STEPS = {"tell": _tell, "book": _book, "total": _total, "remind": _remind}
