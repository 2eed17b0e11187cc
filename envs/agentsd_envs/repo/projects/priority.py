"""A priority queue on a binary heap whose entries can change their priority."""

from __future__ import annotations

from collections.abc import Hashable, Iterable


class Queue:
    """Gives the entry with the smallest priority first; equal ones in the order they came."""

    def __init__(self, entries: Iterable[tuple[Hashable, float]] = ()) -> None:
        self._heap: list[tuple[float, int, Hashable]] = []
        self._places: dict[Hashable, int] = {}
        self._count = 0
        for name, priority in entries:
            self.push(name, priority)

    def __len__(self) -> int:
        return len(self._heap)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._places

    def push(self, name: Hashable, priority: float) -> None:
        """Add an entry, or change the priority of one that waits."""
        if name in self._places:
            self.change(name, priority)
            return
        self._count += 1
        self._heap.append((priority, self._count, name))
        self._places[name] = len(self._heap) - 1
        self._rise(len(self._heap) - 1)

    def peek(self) -> Hashable:
        """The next entry. Raises ``IndexError`` when none waits."""
        if not self._heap:
            raise IndexError("the queue is empty")
        return self._heap[0][2]

    def pop(self) -> Hashable:
        """Take the next entry. Raises ``IndexError`` when none waits."""
        name = self.peek()
        self.remove(name)
        return name

    def remove(self, name: Hashable) -> None:
        """Take any entry out. Raises ``KeyError`` when it does not wait."""
        place = self._places.pop(name)
        last = self._heap.pop()
        if place < len(self._heap):
            self._heap[place] = last
            self._places[last[2]] = place
            self._rise(place)
            self._sink(place)

    def change(self, name: Hashable, priority: float) -> None:
        """Give a waiting entry another priority; it keeps its age."""
        place = self._places[name]
        self._heap[place] = (priority, self._heap[place][1], name)
        self._rise(place)
        self._sink(place)

    def priority(self, name: Hashable) -> float:
        """The priority of a waiting entry."""
        return self._heap[self._places[name]][0]

    def drain(self, limit: int | None = None) -> list[Hashable]:
        """Take all entries, or the first ``limit``, in order."""
        taken = []
        while self._heap and (limit is None or len(taken) < limit):
            taken.append(self.pop())
        return taken

    def _rise(self, place: int) -> None:
        while place > 0:
            parent = (place - 1) // 2
            if self._heap[parent] <= self._heap[place]:
                return
            self._swap(parent, place)
            place = parent

    def _sink(self, place: int) -> None:
        while True:
            smallest = place
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(self._heap) and self._heap[child] < self._heap[smallest]:
                    smallest = child
            if smallest == place:
                return
            self._swap(smallest, place)
            place = smallest

    def _swap(self, one: int, other: int) -> None:
        heap = self._heap
        heap[one], heap[other] = heap[other], heap[one]
        self._places[heap[one][2]] = one
        self._places[heap[other][2]] = other


def merge(*runs: list[float]) -> list[float]:
    """Merge sorted lists into one."""
    queue = Queue((index, run[0]) for index, run in enumerate(runs) if run)
    heads = [0] * len(runs)
    merged = []
    while len(queue):
        index = queue.peek()
        assert isinstance(index, int)
        merged.append(runs[index][heads[index]])
        heads[index] += 1
        if heads[index] < len(runs[index]):
            queue.change(index, runs[index][heads[index]])
        else:
            queue.pop()
    return merged


def smallest(values: list[float], count: int) -> list[float]:
    """The ``count`` smallest values, sorted."""
    places = Queue(enumerate(values)).drain(count)
    return [values[place] for place in places if isinstance(place, int)]
