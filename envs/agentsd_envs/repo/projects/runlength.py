"""Run-length encoding of text (``aaab`` as ``3ab``) and of lists, and a packed form for bytes."""

from __future__ import annotations

from typing import Any

ESCAPE = "\\"


def runs(values: Any) -> list[tuple[Any, int]]:
    """Equal neighbours as pairs of value and count."""
    found: list[tuple[Any, int]] = []
    for value in values:
        if found and found[-1][0] == value:
            found[-1] = (value, found[-1][1] + 1)
        else:
            found.append((value, 1))
    return found


def encode(text: str) -> str:
    """A count, left out when it is 1, before every character; digits are escaped."""
    parts = []
    for char, count in runs(text):
        letter = ESCAPE + char if char.isdigit() or char == ESCAPE else char
        parts.append(f"{count}{letter}" if count > 1 else letter)
    return "".join(parts)


def decode(code: str) -> str:
    """The text of a code. Raises ``ValueError`` for one that ends early or counts nothing."""
    parts: list[str] = []
    digits = ""
    at = 0
    while at < len(code):
        char = code[at]
        if char.isdigit():
            digits += char
            at += 1
            continue
        if char == ESCAPE:
            at += 1
            if at >= len(code):
                raise ValueError("the code ends in an escape")
            char = code[at]
        count = int(digits) if digits else 1
        if count == 0:
            raise ValueError("a run of none")
        parts.append(char * count)
        digits = ""
        at += 1
    if digits:
        raise ValueError("the code ends in a count")
    return "".join(parts)


def pack(data: list[int], longest: int = 127) -> list[int]:
    """Pack numbers 0 to 255: n < 128 copies n + 1 values, n > 128 repeats one 257 - n times."""
    packed: list[int] = []
    plain: list[int] = []

    def flush() -> None:
        while plain:
            block = plain[:longest]
            packed.extend([len(block) - 1, *block])
            del plain[:longest]

    for value, count in runs(data):
        while count >= 3:
            flush()
            take = min(count, longest)
            packed.extend([257 - take, value])
            count -= take
        plain.extend([value] * count)
    flush()
    return packed


def unpack(packed: list[int]) -> list[int]:
    """The numbers that were packed. Raises ``ValueError`` when some are missing."""
    data: list[int] = []
    at = 0
    while at < len(packed):
        head = packed[at]
        if head < 128:
            block = packed[at + 1 : at + 2 + head]
            if len(block) <= head:
                raise ValueError("a block ends early")
            data.extend(block)
            at += 2 + head
        elif head > 128:
            if at + 1 >= len(packed):
                raise ValueError("a run lacks its value")
            data.extend([packed[at + 1]] * (257 - head))
            at += 2
        else:
            at += 1
    return data


def longest_run(values: Any) -> tuple[Any, int]:
    """The value with the longest run and its length; the first one of equals."""
    best: tuple[Any, int] = (None, 0)
    for value, count in runs(values):
        if count > best[1]:
            best = (value, count)
    return best


def ratio(text: str) -> float:
    """Length of the code divided by the length of the text; 1.0 for no text."""
    return len(encode(text)) / len(text) if text else 1.0
