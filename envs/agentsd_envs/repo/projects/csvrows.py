"""Read and write rows of comma-separated text with quoted cells."""

from __future__ import annotations


def parse(text: str, separator: str = ",") -> list[list[str]]:  # noqa: C901
    """Split into rows of cells. Quoted cells may hold separators, newlines and doubled quotes.

    Raises ``ValueError`` for a quote that is not closed, or text after a closing one.
    """
    rows: list[list[str]] = []
    row: list[str] = []
    cell, is_quoted, was_quoted = "", False, False
    at = 0
    while at < len(text):
        char = text[at]
        if is_quoted:
            if char == '"' and text[at + 1 : at + 2] == '"':
                cell += '"'
                at += 1
            elif char == '"':
                is_quoted, was_quoted = False, True
            else:
                cell += char
        elif char == '"' and not cell and not was_quoted:
            is_quoted = True
        elif char == separator:
            row.append(cell)
            cell, was_quoted = "", False
        elif char == "\n":
            row.append(cell)
            rows.append(row)
            row, cell, was_quoted = [], "", False
        elif was_quoted:
            raise ValueError(f"text after a closing quote at {at}")
        else:
            cell += char
        at += 1
    if is_quoted:
        raise ValueError("a quote is not closed")
    if cell or was_quoted or row:
        row.append(cell)
        rows.append(row)
    return rows


def quote(cell: str, separator: str = ",") -> str:
    """The cell, in quotes where it needs them."""
    if separator in cell or '"' in cell or "\n" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


def render(rows: list[list[str]], separator: str = ",") -> str:
    """Rows as text, every row ended by a newline."""
    return "".join(separator.join(quote(cell, separator) for cell in row) + "\n" for row in rows)


def records(text: str, separator: str = ",") -> list[dict[str, str]]:
    """Rows under the names in the first one; missing cells are empty. Raises ``ValueError``."""
    rows = parse(text, separator)
    if not rows:
        return []
    names = rows[0]
    if len(set(names)) != len(names):
        raise ValueError("two columns have one name")
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if len(row) > len(names):
            raise ValueError(f"row {number} has {len(row)} cells, expected {len(names)}")
        padded = row + [""] * (len(names) - len(row))
        found.append(dict(zip(names, padded, strict=True)))
    return found


def column(text: str, name: str, default: float = 0.0) -> list[float]:
    """The numbers of one column; empty cells give the default."""
    values = []
    for record in records(text):
        if name not in record:
            raise KeyError(name)
        cell = record[name].strip()
        values.append(float(cell) if cell else default)
    return values


def guess_separator(text: str, candidates: str = ",;\t|") -> str:
    """The candidate that is most frequent in the first line; the first one of equals."""
    line = text.split("\n", 1)[0]
    best = candidates[0]
    for candidate in candidates:
        if line.count(candidate) > line.count(best):
            best = candidate
    return best
