"""Split a formula into tokens: numbers, names and symbols."""

from __future__ import annotations

SYMBOLS = "+-*/%^(),="


class FormulaError(ValueError):
    """The text is not a formula."""


def tokenize(text: str) -> list[tuple[str, str]]:
    """Pairs of kind (``number``, ``name``, ``symbol``) and text. Raises ``FormulaError``."""
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char.isspace():
            at += 1
        elif char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit()):
            stop = _number_end(text, at)
            tokens.append(("number", text[at:stop]))
            at = stop
        elif char.isalpha() or char == "_":
            stop = at
            while stop < len(text) and (text[stop].isalnum() or text[stop] == "_"):
                stop += 1
            tokens.append(("name", text[at:stop]))
            at = stop
        elif char in SYMBOLS:
            tokens.append(("symbol", char))
            at += 1
        else:
            raise FormulaError(f"unexpected {char!r} at {at}")
    return tokens


def _number_end(text: str, start: int) -> int:
    """Where the number that starts here ends; it has one decimal point at most."""
    at, has_point = start, False
    while at < len(text) and (text[at].isdigit() or (text[at] == "." and not has_point)):
        has_point = has_point or text[at] == "."
        at += 1
    return at
