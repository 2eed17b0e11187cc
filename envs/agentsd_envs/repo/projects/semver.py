"""Versions like ``1.4.0-rc.1`` and ranges like ``^1.2 || >=3``."""

from __future__ import annotations

Version = tuple[int, int, int, tuple[str, ...]]


def parse(text: str) -> Version:
    """Read ``MAJOR.MINOR.PATCH`` with an optional ``-PRE.RELEASE``. Raises ``ValueError``."""
    core, dash, pre = text.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
        raise ValueError(f"{text!r} is not a version")
    if any(len(number) > 1 and number.startswith("0") for number in numbers):
        raise ValueError(f"{text!r} has a leading zero")
    labels = tuple(pre.split(".")) if dash else ()
    if dash and not all(labels):
        raise ValueError(f"{text!r} has an empty label")
    major, minor, patch = (int(number) for number in numbers)
    return major, minor, patch, labels


def compare(left: str, right: str) -> int:
    """-1, 0 or 1: which version is the older one. A pre-release is older than its release."""
    one, other = parse(left), parse(right)
    if one[:3] != other[:3]:
        return -1 if one[:3] < other[:3] else 1
    if not one[3] or not other[3]:
        return bool(other[3]) - bool(one[3])
    for a, b in zip(one[3], other[3]):  # noqa: B905
        if a != b:
            return _compare_labels(a, b)
    return (len(one[3]) > len(other[3])) - (len(one[3]) < len(other[3]))


def _compare_labels(a: str, b: str) -> int:
    """Numbers are older than words, and compare as numbers."""
    if a.isdigit() and b.isdigit():
        return -1 if int(a) < int(b) else 1
    if a.isdigit() != b.isdigit():
        return -1 if a.isdigit() else 1
    return -1 if a < b else 1


def bump(text: str, part: str = "patch") -> str:
    """The next ``major``, ``minor`` or ``patch``; a pre-release becomes its release."""
    major, minor, patch, labels = parse(text)
    if part == "major":
        return f"{major + 1}.0.0"
    if part == "minor":
        return f"{major}.{minor + 1}.0"
    if part != "patch":
        raise ValueError(f"there is no part {part!r}")
    return f"{major}.{minor}.{patch if labels else patch + 1}"


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version is in a range: blanks mean and, ``||`` means or."""
    return any(
        all(_holds(version, clause) for clause in choice.split()) for choice in wanted.split("||")
    )


def _holds(version: str, clause: str) -> bool:
    """One clause: ``>=1.2.3``, ``<2``, ``=1.0``, ``^1.2``, ``~1.2``, ``1.x`` or ``*``."""
    for operator in (">=", "<=", ">", "<", "="):
        if clause.startswith(operator):
            order = compare(version, _filled(clause[len(operator) :]))
            return {
                ">=": order >= 0,
                "<=": order <= 0,
                ">": order > 0,
                "<": order < 0,
                "=": order == 0,
            }[operator]
    if clause[0] in "^~":
        low = _filled(clause[1:])
        return compare(version, low) >= 0 and compare(version, _ceiling(clause)) < 0
    wanted = [part for part in clause.split(".") if part not in ("x", "*")]
    return [str(number) for number in parse(version)[:3]][: len(wanted)] == wanted


def _filled(text: str) -> str:
    """A version with zeros for what is left out."""
    core, dash, pre = text.partition("-")
    numbers = core.split(".")
    return ".".join(numbers + ["0"] * (3 - len(numbers))) + dash + pre


def _ceiling(clause: str) -> str:
    """The first version beyond: ^ keeps the first number that is not 0, ~ the second."""
    major, minor, patch, _ = parse(_filled(clause[1:]))
    if clause[0] == "~":
        return f"{major}.{minor + 1}.0"
    if major:
        return f"{major + 1}.0.0"
    return f"0.{minor + 1}.0" if minor else f"0.0.{patch + 1}"


def newest(versions: list[str], wanted: str = "*") -> str | None:
    """The newest version in a range, or None."""
    best: str | None = None
    for version in versions:
        if satisfies(version, wanted) and (best is None or compare(version, best) > 0):
            best = version
    return best
