"""The few of millions that a page shows: the highest-scoring ones, and a random sample."""

import heapq
import random
from typing import Generic, TypeVar

from serving.report.results import Result

T = TypeVar("T")


class Top:
    """The `size` results of the highest score; of equal texts the first, of equal scores too."""

    def __init__(self, size: int) -> None:
        """Begin with none."""
        self._size = size
        self._heap: list[tuple[float, int, Result]] = []
        self._texts: set[str] = set()
        self._seen = 0

    def add(self, score: float, result: Result) -> None:
        """Keep `result` if it belongs to them."""
        self._seen += 1
        entry = (score, -self._seen, result)
        full = len(self._heap) == self._size
        if (full and entry[:2] <= self._heap[0][:2]) or result.text in self._texts:
            return
        self._texts.add(result.text)
        if full:
            self._texts.remove(heapq.heapreplace(self._heap, entry)[2].text)
        else:
            heapq.heappush(self._heap, entry)

    def best_first(self) -> list[Result]:
        """Return them, the highest score first."""
        return [result for *_, result in sorted(self._heap, key=lambda entry: entry[:2])[::-1]]


class Reservoir(Generic[T]):
    """A uniform random sample of what was added; the same input gives the same sample."""

    def __init__(self, size: int) -> None:
        """Begin with none."""
        self.items: list[T] = []
        self._size = size
        self._seen = 0
        self._random = random.Random(size)

    def add(self, item: T) -> None:
        """Keep `item` with the probability size / items added so far."""
        self._seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (place := self._random.randrange(self._seen)) < self._size:
            self.items[place] = item
