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

Text = Generator["Step", str, str]
"""Steps that return the text of their last result."""


@dataclass(frozen=True, slots=True)
class Step:
    """One correct call."""

    tool: str
    arguments: Mapping[str, Any]


def steps(task: Task) -> Steps:
    """The shortest sequence of calls that solves the task."""
    errand = task.data["errand"]
    kind, _, both = errand["kind"].partition(" ")
    text = yield from _TEXTS[kind](errand)
    for key in "pq" if both else "" if kind in UNSENT else "p":
        to = yield Step("find_contact", {"person": errand[key]})
        yield Step("send_message", {"to": to, "text": text})


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


def _read(errand: Mapping[str, Any]) -> Text:
    return (yield Step("read_note", {"name": errand["a"]}))


def _list(errand: Mapping[str, Any]) -> Text:
    return (yield Step("list_events", {"day": DAYS[errand["day"]]}))


def _book(errand: Mapping[str, Any]) -> Text:
    where = {"day": DAYS[errand["day"]], "hour": errand["hour"]}
    return (yield Step("add_event", where | {"title": errand["title"]}))


def _book_and_list(errand: Mapping[str, Any]) -> Text:
    yield from _book(errand)
    return (yield from _list(errand))


def _sum(errand: Mapping[str, Any]) -> Text:
    a = yield Step("read_note", {"name": errand["a"]})
    b = yield Step("read_note", {"name": errand["b"]})
    return (yield Step("add", {"a": int(a), "b": int(b)}))


def _save_sum(errand: Mapping[str, Any]) -> Text:
    total = yield from _sum(errand)
    return (yield Step("write_note", {"name": errand["c"], "text": total}))


def _note(errand: Mapping[str, Any]) -> Text:
    total = yield Step("add", {"a": errand["x"], "b": errand["y"]})
    return (yield Step("write_note", {"name": errand["c"], "text": total}))


_TEXTS = {
    "book": _book,
    "note": _note,
    "tell": _read,
    "remind": _list,
    "total": _save_sum,
    "share": _sum,
    "invite": _book_and_list,
}
"""The calls of each kind of errand before anything is sent; the last one gives what is sent."""

UNSENT = ("book", "note", "total")
"""Kinds of errand after which nothing is sent."""
