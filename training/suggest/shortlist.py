"""The most uncertain sentences of each predicted label, kept in constant memory."""

import heapq
from collections.abc import Callable, Iterable

from serving.records import Record


def uncertainty(record: Record) -> float:
    """Return 1 minus the margin between the two most probable labels: 1 where they are equal."""
    second, first = sorted(record.probabilities.values())[-2:]
    return 1 - (first - second)


def shortlist(
    records: Iterable[Record], size: int, key: Callable[[str], str]
) -> dict[str, list[Record]]:
    """Return up to `size` records of each predicted label, the most uncertain first.

    Of records that are equally uncertain the first ones are kept, and one of those whose texts have
    the same `key`. Records without a label are left out.
    """
    best: dict[str, _Best] = {}
    for order, record in enumerate(records):
        if record.label is not None:
            best.setdefault(record.label, _Best(size)).offer(record, order, key)
    return {label: kept.records() for label, kept in best.items()}


class _Best:
    """The records of one label, the least uncertain on top of a heap."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[float, int, str]] = []  # uncertainty, minus the order, key
        self._kept: dict[str, Record] = {}

    def offer(self, record: Record, order: int, key: Callable[[str], str]) -> None:
        """Keep a record if it is among the most uncertain so far."""
        value = uncertainty(record)
        if len(self._heap) == self._size and value <= self._heap[0][0]:
            return
        same = key(record.text)
        if same in self._kept:
            return
        self._kept[same] = record
        heapq.heappush(self._heap, (value, -order, same))
        if len(self._heap) > self._size:
            del self._kept[heapq.heappop(self._heap)[2]]

    def records(self) -> list[Record]:
        """Return what was kept, the most uncertain first."""
        return [self._kept[same] for _, _, same in sorted(self._heap, reverse=True)]
