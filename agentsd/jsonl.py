"""JSON Lines files that survive a kill: one object a line, torn last lines dropped, whole rewrites.

Knows nothing of what the objects mean; ``records`` does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from agentsd.errors import DataError, StorageError

Write = Callable[[Mapping[str, Any]], None]
"""Writes one object as one line. Raises ``DataError`` for what JSON cannot hold, ``StorageError``
when the disk is full or the like; then nothing of the line stays."""

TAIL_BLOCK = 65536

logger = logging.getLogger(__name__)


def encode(value: object) -> bytes:
    r"""One line of JSON in UTF-8, without the newline.

    Not-a-number and infinities are written the way Python's ``json`` reads them back; lone
    surrogates, which UTF-8 has no bytes for, as escapes.

    >>> encode({"a": "é"}).decode()
    '{"a":"é"}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"cannot be written as JSON: {error}") from error


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("file:line", object) for every line, holding one line at a time.

    A last line that is not JSON was torn by a kill: it is dropped with a warning. Raises
    ``DataError`` for any other line that is not a JSON object, and for a file that cannot be read.
    """
    held: tuple[int, bytes] | None = None
    for number, line in _lines(path):
        if held is not None:
            yield _parsed(path, *held)
        held = number, line
    if held is not None and _is_json(held[1]):
        yield _parsed(path, *held)
    elif held is not None:
        logger.warning("%s:%d: dropped a torn last line", path, held[0])


@contextlib.contextmanager
def appending(path: Path, *, durable: bool = False) -> Iterator[Write]:
    """Append to the file; every object is flushed before the call returns.

    ``durable`` also waits for the disk (fsync), so that a power cut loses nothing either. A torn
    last line is cut off first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unbuffered: a line that failed is not tried again when the file is closed.
    with path.open("a+b", buffering=0) as file:
        _mend_tail(file, path)
        yield _writer(file, path, durable=durable)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Write]:
    """Write the whole file anew, beside the old one, which is replaced only on success.

    Raises ``DataError`` where ``path`` is something else than a file.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise DataError(f"{path} is not a regular file; name a file to write")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb", buffering=0) as file:
            yield _writer(file, path, durable=False)
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _writer(file: IO[bytes], path: Path, *, durable: bool) -> Write:
    def write(value: Mapping[str, Any]) -> None:
        line = encode(value) + b"\n"
        try:
            _write_whole(file, line)
            if durable:
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot write {path}: {error.strerror}; the lines before are kept"
            ) from error

    return write


def _write_whole(file: IO[bytes], line: bytes) -> None:
    """All of the line or, when the disk is full, nothing of it. Raises ``OSError``."""
    start = file.seek(0, os.SEEK_END)
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(start)
        raise


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, numbered from 1. Only a newline byte ends a line."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _parsed(path: Path, number: int, line: bytes) -> tuple[str, dict[str, Any]]:
    where = f"{path}:{number}"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return where, value


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _mend_tail(file: IO[bytes], path: Path) -> None:
    """Cut a torn last line off, or end a complete one that lacks its newline."""
    start, line = _last_line(file)
    if line.strip() and not _is_json(line):
        logger.warning("%s: cut off a torn last line of %d bytes", path, len(line))
        file.truncate(start)
    elif line and not line.endswith(b"\n"):
        file.write(b"\n")


def _last_line(file: IO[bytes]) -> tuple[int, bytes]:
    """Offset and bytes of the last line; ``(size, b"")`` for an empty file."""
    size = file.seek(0, os.SEEK_END)
    tail, start = b"", size
    while start > 0 and b"\n" not in tail[:-1]:
        start = max(0, start - TAIL_BLOCK)
        file.seek(start)
        tail = file.read(size - start)
    cut = tail.rfind(b"\n", 0, max(0, len(tail) - 1)) + 1
    return start + cut, tail[cut:]
