"""Dates of the Gregorian calendar as (year, month, day), without the standard library."""

from __future__ import annotations

Date = tuple[int, int, int]
LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def is_leap(year: int) -> bool:
    """Whether the year has a 29 February."""
    if year % 100 == 0:
        return year % 400 == 0
    return year % 4 == 0


def month_days(year: int, month: int) -> int:
    """How many days a month has. Raises ``ValueError`` for months that do not exist."""
    if not 1 <= month <= 12:
        raise ValueError(f"there is no month {month}")
    if month == 2 and is_leap(year):
        return 29
    return LENGTHS[month - 1]


def parse(text: str) -> Date:
    """Read ``YYYY-MM-DD``. Raises ``ValueError``."""
    parts = text.split("-")
    if len(parts) != 3 or [len(part) for part in parts] != [4, 2, 2]:
        raise ValueError(f"{text!r} is not of the form YYYY-MM-DD")
    year, month, day = (int(part) for part in parts)
    if not 1 <= day <= month_days(year, month):
        raise ValueError(f"{text!r} is not a day of that month")
    return year, month, day


def day_of_year(date: Date) -> int:
    """1 for 1 January."""
    year, month, day = date
    return sum(month_days(year, earlier) for earlier in range(1, month)) + day


def ordinal(date: Date) -> int:
    """Days since the day before 1 January of year 1."""
    before = date[0] - 1
    leap_days = before // 4 - before // 100 + before // 400
    return before * 365 + leap_days + day_of_year(date)


def days_between(first: Date, second: Date) -> int:
    """How many days the second date is later."""
    return ordinal(second) - ordinal(first)


def add_days(date: Date, days: int) -> Date:
    """The date so many days later, or earlier."""
    year, month, day = date
    day += days
    while day < 1:
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)
        day += month_days(year, month)
    while day > month_days(year, month):
        day -= month_days(year, month)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return year, month, day


def add_months(date: Date, months: int) -> Date:
    """The same day of another month, or the last one where that has fewer days."""
    year, month, day = date
    index = year * 12 + (month - 1) + months
    year, month = index // 12, index % 12 + 1
    return year, month, min(day, month_days(year, month))


def weekday(date: Date) -> str:
    """``mon`` to ``sun``; 1 January of year 1 was a Monday."""
    return WEEKDAYS[(ordinal(date) - 1) % 7]


def workdays(first: Date, second: Date) -> int:
    """Days from the first up to, not including, the second that are not on a weekend."""
    count = 0
    while first < second:
        if weekday(first) not in ("sat", "sun"):
            count += 1
        first = add_days(first, 1)
    return count


def age(born: Date, today: Date) -> int:
    """Full years of life."""
    years = today[0] - born[0]
    if today[1:] < born[1:]:
        years -= 1
    return years
