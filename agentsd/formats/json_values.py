"""Read the JSON values of a file one by one: elements of one array, or values in sequence (JSONL).

Holds one value and one block at a time. Knows nothing of what the values mean.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from agentsd.errors import DataError

BLOCK = 1 << 20
"""Characters read at first; doubled while a value does not fit."""

SPACE = " \t\r\n"

logger = logging.getLogger(__name__)


def read_values(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ("file: value n", value), n from 0.

    A last line that is not JSON was torn by a kill: it is dropped with a warning. Raises
    ``DataError`` naming the line for anything else that is not JSON.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _values(_Window(file), path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text: {error.reason}") from error


def _values(window: _Window, path: Path) -> Iterator[tuple[str, Any]]:
    is_array = window.peek() == "["
    if is_array:
        window.skip()
    index = 0
    while (following := window.peek()) and not (is_array and following == "]"):
        where = f"{path}: value {index}"
        if is_array and index:
            _expect_comma(window, where)
        try:
            value = window.value(where)
        except DataError:
            if not index or is_array or not window.is_last_line():
                raise
            logger.warning("%s:%d: dropped a torn last line", path, window.line())
            return
        yield where, value
        index += 1
    if is_array and not following:
        raise DataError(
            f"{path}: the array does not end; the file is cut off after value {index - 1}"
        )


def _expect_comma(window: _Window, where: str) -> None:
    if window.peek() != ",":
        raise DataError(f"{where}: expected a comma before it, got {window.peek()!r}")
    window.skip()


class _Window:
    """The part of a text file that is being decoded."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._block = BLOCK
        self._lines = 1

    def line(self) -> int:
        """The line of the file that is being decoded, from 1."""
        return self._lines + self._text.count("\n", 0, self._at)

    def is_last_line(self) -> bool:
        """Whether nothing follows the line that is being decoded, not even its newline."""
        return "\n" not in self._text[self._at :]

    def peek(self) -> str:
        """The next character that is not space; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._read_more():
                return ""

    def skip(self) -> None:
        """Go past the character that ``peek`` showed."""
        self._at += 1

    def value(self, where: str) -> Any:
        """Decode the next value. Raises ``DataError``."""
        self.peek()
        while True:
            try:
                value, stop = json.JSONDecoder().raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if not self._read_more():
                    line, reason = self.line(), str(error).partition(": line")[0]
                    raise DataError(f"{where}: not JSON at line {line}: {reason}") from error
                continue
            # A number at the very end of the window may go on behind it.
            if stop < len(self._text) or not self._read_more():
                self._at, self._block = stop, BLOCK
                return value

    def _read_more(self) -> bool:
        """Forget what is decoded and read on. False at the end of the file."""
        more = self._file.read(self._block)
        self._block *= 2
        self._lines += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
