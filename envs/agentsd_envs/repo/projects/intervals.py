"""Sets of half-open integer intervals ``(start, stop)``, kept sorted and apart."""

from __future__ import annotations

Interval = tuple[int, int]


def check(interval: Interval) -> Interval:
    """The interval itself. Raises ``ValueError`` when it is empty or reversed."""
    start, stop = interval
    if stop <= start:
        raise ValueError(f"interval {interval} is empty or reversed")
    return interval


def merge(intervals: list[Interval], gap: int = 0) -> list[Interval]:
    """Join intervals that overlap, touch, or are at most ``gap`` apart."""
    merged: list[Interval] = []
    for start, stop in sorted(check(each) for each in intervals):
        if merged and start <= merged[-1][1] + gap:
            first, last = merged[-1]
            merged[-1] = (first, max(last, stop))
        else:
            merged.append((start, stop))
    return merged


def insert(intervals: list[Interval], new: Interval) -> list[Interval]:
    """Merged intervals with one more."""
    return merge([*intervals, new])


def intersect(left: list[Interval], right: list[Interval]) -> list[Interval]:
    """What both sets cover."""
    one, other = merge(left), merge(right)
    found: list[Interval] = []
    i = j = 0
    while i < len(one) and j < len(other):
        start = max(one[i][0], other[j][0])
        stop = min(one[i][1], other[j][1])
        if start < stop:
            found.append((start, stop))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return found


def subtract(left: list[Interval], right: list[Interval]) -> list[Interval]:
    """What the first set covers and the second does not."""
    left_over: list[Interval] = []
    holes = merge(right)
    for start, stop in merge(left):
        at = start
        for hole_start, hole_stop in holes:
            if hole_stop <= at or hole_start >= stop:
                continue
            if hole_start > at:
                left_over.append((at, hole_start))
            at = hole_stop
        if at < stop:
            left_over.append((at, stop))
    return left_over


def gaps(intervals: list[Interval], start: int, stop: int) -> list[Interval]:
    """What is free between ``start`` and ``stop``."""
    return subtract([(start, stop)], intervals)


def total(intervals: list[Interval]) -> int:
    """How many integers the set covers."""
    return sum(stop - start for start, stop in merge(intervals))


def covers(intervals: list[Interval], point: int) -> bool:
    """Whether the point lies in the set."""
    ordered = merge(intervals)
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        start, stop = ordered[middle]
        if point < start:
            high = middle
        elif point >= stop:
            low = middle + 1
        else:
            return True
    return False


def busiest(intervals: list[Interval]) -> int:
    """The largest number of intervals that hold at the same time."""
    events = [(start, 1) for start, _ in intervals] + [(stop, -1) for _, stop in intervals]
    most = now = 0
    for _, change in sorted(events):
        now += change
        most = max(most, now)
    return most
