"""Match paths against patterns with ``*``, ``**``, ``?``, ``[a-z]`` and ``{a,b}``."""

from __future__ import annotations


def matches(pattern: str, path: str) -> bool:
    """Whether the whole path matches. Only ``**`` crosses a slash."""
    return any(_parts_match(each.split("/"), path.split("/")) for each in expand_braces(pattern))


def expand_braces(pattern: str) -> list[str]:
    """All patterns that the braces stand for, in order; braces may be nested."""
    start = pattern.find("{")
    if start < 0:
        return [pattern]
    depth, cuts, stop = 0, [start], -1
    for at in range(start, len(pattern)):
        char = pattern[at]
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                stop = at
                break
        elif char == "," and depth == 1:
            cuts.append(at)
    if stop < 0:
        raise ValueError(f"a brace is not closed in {pattern!r}")
    cuts.append(stop)
    choices = [pattern[a + 1 : b] for a, b in zip(cuts, cuts[1:])]  # noqa: B905, RUF007
    head, tail = pattern[:start], pattern[stop + 1 :]
    return [each for choice in choices for each in expand_braces(head + choice + tail)]


def _parts_match(patterns: list[str], parts: list[str]) -> bool:
    """Match part by part; ``**`` stands for any number of parts, also none."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_parts_match(patterns[1:], parts[skip:]) for skip in range(len(parts) + 1))
    if not parts:
        return False
    return part_matches(patterns[0], parts[0]) and _parts_match(patterns[1:], parts[1:])


def part_matches(pattern: str, text: str) -> bool:
    """Match text without slashes. A leading dot must be written out."""
    if text.startswith(".") and not pattern.startswith("."):
        return False
    return _match(pattern, text)


def _match(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_match(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    if not text:
        return False
    if pattern[0] == "[":
        stop = pattern.find("]", 2)
        if stop < 0:
            raise ValueError(f"a bracket is not closed in {pattern!r}")
        return in_class(pattern[1:stop], text[0]) and _match(pattern[stop + 1 :], text[1:])
    if pattern[0] == "?" or pattern[0] == text[0]:
        return _match(pattern[1:], text[1:])
    return False


def in_class(members: str, char: str) -> bool:
    """Whether the character is one of ``a-z0_``; a leading ``!`` turns the answer round."""
    is_negated = members.startswith("!")
    rest = members[1:] if is_negated else members
    found = False
    while rest:
        if len(rest) >= 3 and rest[1] == "-":
            found = found or rest[0] <= char <= rest[2]
            rest = rest[3:]
        else:
            found = found or rest[0] == char
            rest = rest[1:]
    return found != is_negated


def select(paths: list[str], include: list[str], exclude: list[str] | None = None) -> list[str]:
    """Paths that match some pattern and none to be left out, in order, once each."""
    chosen: list[str] = []
    for path in paths:
        if path in chosen or any(matches(each, path) for each in exclude or []):
            continue
        if any(matches(each, path) for each in include):
            chosen.append(path)
    return chosen
