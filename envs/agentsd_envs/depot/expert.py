"""How every depot task is solved: a mind that believes something of the depot and plans by it.

The mind only knows what results say. Where it forgets something its belief is wrong, and what
follows is what really follows: a refusal some calls later, from which it learns, or nothing until
the task is graded. Knows nothing of hints, rates or models.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agentsd.types import Task
from agentsd_envs.depot.world import World, world_from

ANSWER = "Done."
"""What the expert says when every job is done."""

Steps = Generator["Step", str, None]
"""Yields a step, is sent the text of its result."""

Job = Mapping[str, Any]
"""``verb`` (take, empty, fill, log), ``bin``, ``person``, and ``count`` for take."""

FORGET, SWAP = "forget", "swap"
"""Slips: the step is taken to be done already; the next two jobs change places."""

REFUSAL = re.compile(
    r"Error: (?:(?P<locked>\w+) is locked|(?P<open>\w+) is open already|close (?P<left>\w+) first"
    r"|(?P<less>\w+) holds less|return (?P<key>k-\d+) first|(?P<gone>k-\d+) is not borrowed)"
)
"""The refusals that somebody meets who knows the names of things but not their state."""


@dataclass(frozen=True, slots=True)
class Step:
    """One correct call, and what is called instead by somebody who makes a slip here."""

    tool: str
    arguments: Mapping[str, Any]
    slips: Mapping[str, Step | None] = field(
        default_factory=dict[str, "Step | None"], compare=False, repr=False
    )
    """By kind of slip; None where the slip leads to answering too early."""


@dataclass(slots=True)
class Mind:
    """What is still to be done, and what is believed. Mutable."""

    jobs: list[Job]
    key: str | None = None
    holder: str | None = None
    """Whose key it is; None for a key that turned up."""
    open: str | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    """What was last read."""
    stale: set[str] = field(default_factory=set[str])
    """Bins that have changed since."""

    def step(self) -> Step | None:
        """The next step with its slips; None when everything is done."""
        planned = self.plan()
        if planned is None:
            return None
        slips: dict[str, Step | None] = {}
        for slip in (FORGET, SWAP):
            if self._can_slip(slip, planned):
                other = self.copy()
                other.make_slip(slip, planned)
                instead = other.plan()
                # Two jobs may begin with the same call: then the slip is made later.
                if instead != planned:
                    slips[slip] = instead
        return Step(planned.tool, planned.arguments, slips)

    def copy(self) -> Mind:
        """Another mind that believes the same."""
        return replace(self, jobs=list(self.jobs), counts=dict(self.counts), stale=set(self.stale))

    def plan(self) -> Step | None:
        """The next step alone; None when everything is done."""
        job = self.jobs[0] if self.jobs else None
        if self.open is not None and (job is None or job["bin"] != self.open):
            return Step("close_bin", {"name": self.open})
        if self.key is not None and (job is None or job["person"] != self.holder):
            return Step("return_key", {"key": self.key})
        if job is None:
            return None
        if self.key is None:
            return Step("borrow_key", {"person": job["person"]})
        if self.open is None:
            return Step("open_bin", {"name": job["bin"], "key": self.key})
        return self._work(job)

    def _work(self, job: Job) -> Step:
        name, verb = job["bin"], job["verb"]
        if verb == "fill":
            return Step("fill_bin", {"name": name})
        if verb == "take":
            return Step("take_out", {"name": name, "count": job["count"]})
        if name not in self.counts or name in self.stale:
            return Step("read_bin", {"name": name})
        tool = "log_count" if verb == "log" else "take_out"
        return Step(tool, {"name": name, "count": self.counts[name]})

    def _can_slip(self, slip: str, step: Step) -> bool:
        if slip == FORGET:
            is_known = step.arguments.get("name") in self.counts
            return step.tool in ("open_bin", "close_bin", "return_key") or (
                step.tool == "read_bin" and is_known
            )
        is_work = step.tool in ("read_bin", "fill_bin", "take_out", "log_count")
        return is_work and self._order_matters()

    def _order_matters(self) -> bool:
        """Whether the next two jobs are different ones on the same bin."""
        if len(self.jobs) < 2:
            return False
        first, second = self.jobs[:2]
        return first["bin"] == second["bin"] and first["verb"] != second["verb"]

    def make_slip(self, slip: str, step: Step) -> None:
        """Go wrong at this step, without noticing."""
        if slip == SWAP:
            self.jobs[:2] = self.jobs[1::-1]
        elif step.tool == "read_bin":
            self.stale.discard(step.arguments["name"])
        else:
            self._believe_done(step)

    def saw(self, step: Step, result: str) -> None:
        """Learn from the result of a step. Raises ``ValueError`` for one that cannot be."""
        if result.startswith("Error: "):
            self._learn(result)
        elif step.tool == "borrow_key":
            self.key, self.holder = result, step.arguments["person"]
        elif step.tool == "read_bin":
            self.counts[step.arguments["name"]] = int(result)
            self.stale.discard(step.arguments["name"])
        else:
            self._believe_done(step)

    def _believe_done(self, step: Step) -> None:
        match step.tool:
            case "open_bin":
                self.open = step.arguments["name"]
            case "close_bin":
                self.open = None
            case "return_key":
                self.key = self.holder = None
            case tool:
                if tool != "log_count":
                    self.stale.add(step.arguments["name"])
                self.jobs.pop(0)

    def _learn(self, refusal: str) -> None:
        found = REFUSAL.fullmatch(refusal)
        if found is None:
            raise ValueError(f"the depot's expert cannot have met {refusal!r}")
        match found.lastgroup:
            case "locked":
                self.open = None
            case "open" | "left":
                self.open = found[found.lastgroup]
            case "less":
                self.stale.add(found["less"])
            case "key":
                self.key, self.holder = found["key"], None
            case _:
                self.key = self.holder = None


def steps(task: Task) -> Steps:
    """The shortest sequence of calls that solves the task, and repairs after refusals."""
    mind = Mind(list(task.data["jobs"]))
    while (step := mind.step()) is not None:
        mind.saw(step, (yield step))


def solved_state(task: Task) -> dict[str, Any]:
    """The state of the depot after the expert has worked on it; what tasks are graded against."""
    return _solve(task.data)[0].state()


def num_calls(data: Mapping[str, Any]) -> int:
    """How many calls the expert needs. ``data`` is ``Task.data``."""
    return _solve(data)[1]


def perform(world: World, step: Step) -> str:
    """Do a step on the world without any tool in between. Returns the result's text."""
    return getattr(world, step.tool)(**step.arguments)


def _solve(data: Mapping[str, Any]) -> tuple[World, int]:
    world, mind, calls = world_from(data["world"]), Mind(list(data["jobs"])), 0
    while (step := mind.plan()) is not None:
        mind.saw(step, perform(world, step))
        calls += 1
    return world, calls
