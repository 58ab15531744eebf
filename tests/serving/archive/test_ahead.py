"""Items that a thread makes ahead come in order, with their error, and end with who uses them."""

import threading
from itertools import count

import pytest

from serving.archive.ahead import ahead


def test_items_come_in_order_and_an_error_after_those_before_it():
    def items():
        yield from range(50)
        raise ValueError("the 51st")

    found = []
    with pytest.raises(ValueError, match="the 51st"):
        for item in ahead(items()):
            found.append(item)
    assert found == list(range(50))


def test_who_stops_early_ends_the_thread_and_what_it_had_open():
    closed = threading.Event()

    def endless():
        try:
            yield from count()
        finally:
            closed.set()

    before = threading.active_count()
    items = ahead(endless())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert closed.is_set()
    assert threading.active_count() == before


def test_no_more_than_two_items_are_made_ahead():
    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    taken = ahead(items())
    for _ in range(20):
        assert len(made) <= next(taken) + 2
    taken.close()
