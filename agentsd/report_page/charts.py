"""Where the lines, ticks and labels of a chart go. Knows nothing of SVG syntax, colours or files.

x counts in percent of the chart's width and y in pixels from its top, so that a chart takes any
width without its text changing size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from agentsd.report_page.inputs import Inputs, Interval, StepRow
from agentsd.report_page.wording import number, percent

LEFT, RIGHT = 14.0, 96.0
"""The first and the last x, in percent of the width; tick labels stand left of the first."""

TOP, BOTTOM = 44.0, 188.0
"""The y of the highest and the lowest value, in pixels."""

MOST_READOUTS = 100
"""Steps that show their value under the pointer; the table has them all."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Readout:
    """A point of the curve and what to say when the pointer is near."""

    x: float
    y: float
    left: float
    """Where the column begins in which the pointer counts as near."""
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """An evaluation on held-out tasks, drawn with its 95 % interval."""

    name: str
    x: float
    y: float
    low_y: float
    high_y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """One curve over the training steps."""

    title: str
    unit: str
    lines: tuple[str, ...]
    """Polylines ``x,y x,y ...``; one for each unbroken stretch of recorded values."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    readouts: tuple[Readout, ...]
    held_out: tuple[HeldOut, ...]
    summary: str
    """The chart in one sentence, for those who cannot see it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What a chart shows, before it has a shape."""

    title: str
    unit: str
    value: Callable[[StepRow], float]
    label: Callable[[float], str]
    """A value as the readout gives it."""
    tick: Callable[[float], str]
    before: tuple[float | None, Interval] | None = None
    after: tuple[float | None, Interval] | None = None
    least_top: float = 0.0
    """The value axis reaches at least so high."""


def charts(inputs: Inputs) -> tuple[Chart, ...]:
    """The curves of a run; none where no step was recorded."""
    if not inputs.steps:
        return ()
    return tuple(draw(curve, inputs.steps) for curve in _curves(inputs))


def draw(curve: Curve, steps: Sequence[StepRow]) -> Chart:
    """Give a curve its shape."""
    points = [(step.step, curve.value(step)) for step in steps]
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points if math.isfinite(value)]
    y_values = ticks(max([*values, *_bounds(curve), curve.least_top]))
    scale = _Scale(first, last, y_values[-1])
    return Chart(
        title=curve.title,
        unit=curve.unit,
        lines=tuple(_lines(points, scale)),
        x_ticks=tuple(Tick(scale.x(s), str(s)) for s in step_ticks(first, last)),
        y_ticks=tuple(Tick(scale.y(v), curve.tick(v)) for v in y_values),
        readouts=tuple(_readouts(points, scale, curve.label)),
        held_out=tuple(_held_out(curve, scale)),
        summary=_summary(curve, points),
    )


def ticks(top: float, most: int = 4) -> list[float]:
    """Round numbers from 0 to ``top`` or just above; 0 to 1 where all is 0.

    >>> ticks(0.23), ticks(31), ticks(0.0)
    ([0.0, 0.1, 0.2, 0.3], [0.0, 10.0, 20.0, 30.0, 40.0], [0.0, 0.25, 0.5, 0.75, 1.0])
    """
    top = top if top > 0 else 1.0
    step = _round_step(top / most)
    return [round(step * i, 12) for i in range(math.ceil(top / step - 1e-9) + 1)]


def step_ticks(first: int, last: int, most: int = 5) -> list[int]:
    """Round step numbers from ``first`` to ``last``, with ``first`` where there is room.

    >>> step_ticks(1, 20), step_ticks(1, 3), step_ticks(7, 7)
    ([1, 5, 10, 15, 20], [1, 2, 3], [7])
    """
    step = max(1, round(_round_step((last - first) / most))) if last > first else 1
    inner = [at for at in range(first, last + 1) if at % step == 0]
    has_room = not inner or inner[0] - first > step / 2
    return [first, *inner] if has_room else inner


@dataclass(frozen=True, slots=True)
class _Scale:
    """From steps and values to places. ``margin`` steps are kept free for held-out evaluations."""

    first: int
    last: int
    top: float

    @property
    def margin(self) -> float:
        return max(1.0, (self.last - self.first) / 16)

    def x(self, step: float) -> float:
        share = (step - self.first + self.margin) / (self.last - self.first + 2 * self.margin)
        return round(LEFT + share * (RIGHT - LEFT), 2)

    def y(self, value: float) -> float:
        share = max(0.0, value) / self.top
        return round(BOTTOM - share * (BOTTOM - TOP), 2)


def _curves(inputs: Inputs) -> Iterator[Curve]:
    before, after = inputs.summary.before, inputs.summary.after
    yield Curve(
        "Errors per call",
        "share of calls",
        value=lambda step: step.error_rate,
        label=percent,
        tick=_percent_tick,
        before=(before.error_rate, before.error_rate_interval),
        after=(after.error_rate, after.error_rate_interval),
    )
    yield Curve(
        "Task success",
        "share of episodes",
        value=lambda step: step.success,
        label=percent,
        tick=_percent_tick,
        before=(before.success, before.success_interval),
        after=(after.success, after.success_interval),
        least_top=1.0,
    )
    yield Curve(
        "Accepted branches",
        "branches per step",
        value=lambda step: step.accepted,
        label=lambda value: number(value, 0),
        tick=lambda value: f"{value:g}",
        least_top=4.0,
    )
    yield Curve(
        "Anchor KL",
        "nats per token",
        value=lambda step: step.anchor_kl,
        label=lambda value: number(value, 4),
        tick=lambda value: f"{value:g}",
    )


def _percent_tick(share: float) -> str:
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def _round_step(least: float) -> float:
    """The smallest of 1, 2.5, 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2.5, 5, 10) if factor * power >= least * 0.999)


def _bounds(curve: Curve) -> Iterator[float]:
    for held_out in (curve.before, curve.after):
        if held_out is not None:
            yield from (bound for bound in held_out[1] if bound is not None)


def _lines(points: Sequence[tuple[int, float]], scale: _Scale) -> Iterator[str]:
    for is_finite, run in groupby(points, lambda point: math.isfinite(point[1])):
        if is_finite:
            yield " ".join(f"{scale.x(step)},{scale.y(value)}" for step, value in run)


def _readouts(
    points: Sequence[tuple[int, float]], scale: _Scale, label: Callable[[float], str]
) -> Iterator[Readout]:
    stride = math.ceil(len(points) / MOST_READOUTS)
    half = (scale.x(scale.first + stride) - scale.x(scale.first)) / 2
    # Counted from the end: the last step is what the chart says when nothing is pointed at.
    for step, value in reversed(points[::-1][::stride]):
        if math.isfinite(value):
            x = scale.x(step)
            left, width = round(x - half, 2), round(2 * half, 2)
            yield Readout(x, scale.y(value), left, width, f"step {step}: {label(value)}")


def _held_out(curve: Curve, scale: _Scale) -> Iterator[HeldOut]:
    places = (
        ("before", scale.first - scale.margin, curve.before),
        ("after", scale.last + scale.margin, curve.after),
    )
    for name, step, held_out in places:
        if held_out is None:
            continue
        value, (low, high) = held_out
        if value is not None and low is not None and high is not None:
            yield HeldOut(name, scale.x(step), scale.y(value), scale.y(low), scale.y(high))


def _summary(curve: Curve, points: Sequence[tuple[int, float]]) -> str:
    (first, start), (last, end) = points[0], points[-1]
    text = (
        f"{curve.title}, {curve.unit}, from {curve.label(start)} at step {first} "
        f"to {curve.label(end)} at step {last}."
    )
    if curve.before and curve.after:
        before, after = percent(curve.before[0]), percent(curve.after[0])
        text += f" On held-out tasks {before} before and {after} after."
    return text
