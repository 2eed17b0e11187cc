"""Lay text out in lines of bounded width."""

from __future__ import annotations


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Break at blanks into lines of at most ``width``; longer words are cut.

    Every line but the first starts with ``indent``.
    """
    if width <= len(indent):
        raise ValueError(f"width {width} leaves no room after the indent")
    lines: list[str] = []
    start, line = "", ""
    for word in text.split():
        if line and len(start) + len(line) + 1 + len(word) <= width:
            line += " " + word
            continue
        if line:
            lines.append(start + line)
            start = indent
        line = word
        while len(start) + len(line) > width:
            cut = width - len(start)
            lines.append(start + line[:cut])
            start, line = indent, line[cut:]
    if line:
        lines.append(start + line)
    return lines


def justify(line: str, width: int) -> str:
    """Widen the blanks, the left ones first, until the line is ``width`` long."""
    words = line.split()
    if len(words) < 2:
        return line.ljust(width)
    blanks = width - sum(len(word) for word in words)
    places = len(words) - 1
    if blanks < places:
        return " ".join(words)
    each, more = divmod(blanks, places)
    parts = []
    for index, word in enumerate(words[:-1]):
        parts.append(word + " " * (each + (1 if index < more else 0)))
    return "".join(parts) + words[-1]


def center(line: str, width: int, fill: str = " ") -> str:
    """Put the line in the middle; an odd place goes to the right."""
    missing = max(0, width - len(line))
    left = missing // 2
    return fill * left + line + fill * (missing - left)


def shorten(text: str, width: int, mark: str = "...") -> str:
    """Cut at a blank so that the text with the mark fits; blanks are single ones."""
    words = text.split()
    whole = " ".join(words)
    if len(whole) <= width:
        return whole
    kept = ""
    for word in words:
        longer = f"{kept} {word}" if kept else word
        if len(longer) + len(mark) > width:
            break
        kept = longer
    return kept + mark


def paragraphs(text: str) -> list[str]:
    """The paragraphs, which empty lines keep apart, each on one line."""
    found: list[str] = []
    current: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            current.append(line.strip())
        elif current:
            found.append(" ".join(current))
            current = []
    return found


def columns(rows: list[list[str]], gap: int = 2) -> list[str]:
    """Align cells in columns as wide as their widest cell; no blanks at the end."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]  # noqa: B905
        lines.append((" " * gap).join(cells).rstrip())
    return lines
