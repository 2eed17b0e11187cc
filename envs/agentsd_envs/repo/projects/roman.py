"""Roman numerals from 1 to 3999, strict about their form."""

from __future__ import annotations

DIGITS = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)
LARGEST = 3999


def to_roman(number: int) -> str:
    """The numeral of a number. Raises ``ValueError`` outside 1 to 3999."""
    if not 1 <= number <= LARGEST:
        raise ValueError(f"{number} has no roman numeral")
    parts = []
    for value, letters in DIGITS:
        while number >= value:
            parts.append(letters)
            number -= value
    return "".join(parts)


def from_roman(numeral: str) -> int:
    """The number of a numeral, in any case. Raises ``ValueError`` for one that is malformed."""
    text = numeral.strip().upper()
    total, rest = 0, text
    for value, letters in DIGITS:
        while rest.startswith(letters):
            total += value
            rest = rest[len(letters) :]
    if rest or not 1 <= total <= LARGEST or to_roman(total) != text:
        raise ValueError(f"{numeral!r} is not a roman numeral")
    return total


def is_roman(text: str) -> bool:
    """Whether the text is a well-formed numeral."""
    try:
        from_roman(text)
    except ValueError:
        return False
    return True


def add(*numerals: str) -> str:
    """The sum of numerals, as a numeral."""
    return to_roman(sum(from_roman(each) for each in numerals))


def order(numerals: list[str], descending: bool = False) -> list[str]:
    """Numerals sorted by their value; equal ones keep their places."""
    sign = -1 if descending else 1
    return sorted(numerals, key=lambda each: sign * from_roman(each))


def outline(titles: list[str], start: int = 1) -> list[str]:
    """Number the titles: ``I. Intro``, right-aligned under each other."""
    labels = [to_roman(start + index) for index in range(len(titles))]
    width = max((len(label) for label in labels), default=0)
    return [f"{label.rjust(width)}. {title}" for label, title in zip(labels, titles, strict=True)]
