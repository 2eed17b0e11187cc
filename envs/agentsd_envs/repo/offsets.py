"""Python source as text whose syntax nodes have a place. Knows nothing of what is done with it."""

from __future__ import annotations

import ast


class Text:
    """Source text with the offsets of its nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Offsets in characters; the parser counts columns in bytes."""
        ends = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
        start, stop = (self._starts[line - 1] + self._column(line, at) for line, at in ends)
        return start, stop

    def of(self, node: ast.AST) -> str:
        """The text of a node."""
        start, stop = self.span(node)
        return self.text[start:stop]

    def _column(self, line: int, column: int) -> int:
        return len(self._lines[line - 1].encode()[:column].decode())
