"""A user for each box when this process is root, so that no box runs as root or as another's user.

Reads which users exist in this process's user namespace; knows nothing of boxes.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from agentsd.sandbox.bwrap_probe import CannotIsolate

PREFERRED = range(1_900_000_000, 1_900_000_000 + 2**24)
"""Ids that no distribution, container or login service hands out."""
FEWEST = 4096
NOBODY = 65534


def users(proc: Path = Path("/proc/self"), euid: int | None = None) -> Iterator[int | None]:
    """An endless supply of users, each the next one; None where this process is not root.

    Raises ``CannotIsolate`` where boxes would have the rights of the machine's root, which go far
    beyond what namespaces close.
    """
    euid = os.geteuid() if euid is None else euid
    maps = [_ranges(proc / name) for name in ("uid_map", "gid_map")]
    usable = [_usable(ranges) for ranges in maps]
    common = range(max(u.start for u in usable), min(u.stop for u in usable))
    if euid == 0 and len(common) >= FEWEST:
        first = secrets.randbelow(len(common))
        ids = itertools.chain(common[first:], itertools.cycle(common))
        return (uid for uid in ids if uid != NOBODY)
    if any(euid in inside and outside + euid - inside.start == 0 for inside, outside in maps[0]):
        raise CannotIsolate(
            "this is root, and its user namespace has no other users",
            "run as an ordinary user, or map at least 4096 users into the namespace",
        )
    return itertools.repeat(None)


def _ranges(path: Path) -> list[tuple[range, int]]:
    """The ids of a map in this namespace, each with the id that its first one is outside."""
    rows = [[int(word) for word in line.split()] for line in path.read_text().splitlines()]
    return [(range(inside, inside + count), outside) for inside, outside, count in rows]


def _usable(ranges: list[tuple[range, int]]) -> range:
    """The preferred ids, else the upper half of the longest range, which is the least used."""
    for ids, _ in ranges:
        if PREFERRED.start in ids and PREFERRED[-1] in ids:
            return PREFERRED
    longest = max((ids for ids, _ in ranges), key=len, default=range(0))
    return longest[len(longest) // 2 :]
