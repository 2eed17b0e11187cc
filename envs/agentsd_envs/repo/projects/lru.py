"""A cache of bounded size that forgets what was used least recently, and what is too old."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class Cache:
    """Holds at most ``size`` entries; time is whatever the caller's clock says."""

    def __init__(self, size: int, max_age: float | None = None) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size
        self.max_age = max_age
        self.hits = 0
        self.misses = 0
        self._entries: dict[Hashable, tuple[Any, float]] = {}
        self._now = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def tick(self, seconds: float) -> None:
        """Let time pass and forget what has become too old."""
        self._now += seconds
        if self.max_age is None:
            return
        for key in list(self._entries):
            if self._now - self._entries[key][1] >= self.max_age:
                del self._entries[key]

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value, which counts as used now, or the default."""
        if key not in self._entries:
            self.misses += 1
            return default
        self.hits += 1
        entry = self._entries.pop(key)
        self._entries[key] = entry
        return entry[0]

    def peek(self, key: Hashable, default: Any = None) -> Any:
        """The value or the default; counts as nothing."""
        return self._entries[key][0] if key in self._entries else default

    def put(self, key: Hashable, value: Any) -> Hashable | None:
        """Hold a value. Returns the key that had to go for it, or None."""
        evicted = None
        if key in self._entries:
            del self._entries[key]
        elif len(self._entries) >= self.size:
            evicted = next(iter(self._entries))
            del self._entries[evicted]
        self._entries[key] = (value, self._now)
        return evicted

    def drop(self, key: Hashable) -> bool:
        """Forget a key. Returns whether it was there."""
        return self._entries.pop(key, None) is not None

    def keys(self) -> list[Hashable]:
        """All keys, the one that will be forgotten next first."""
        return list(self._entries)

    def resize(self, size: int) -> int:
        """Change the size. Returns how many entries had to go."""
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size
        dropped = 0
        while len(self._entries) > size:
            del self._entries[next(iter(self._entries))]
            dropped += 1
        return dropped

    def hit_rate(self) -> float:
        """Share of ``get`` calls that found something; 0.0 before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


def memoized(function: Callable[[Any], Any], size: int = 2) -> Callable[[Any], Any]:
    """The function with a cache of its last ``size`` arguments, held as ``.cache``."""
    cache = Cache(size)
    missing = object()

    def call(argument: Any) -> Any:
        value = cache.get(argument, missing)
        if value is missing:
            value = function(argument)
            cache.put(argument, value)
        return value

    call.cache = cache  # type: ignore[attr-defined]
    return call
