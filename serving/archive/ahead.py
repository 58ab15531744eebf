"""Iterates in a thread: the next item is made while the last one is used."""

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Generator[T]) -> Generator[T]:
    """Yield `items`, which a thread takes up to two ahead.

    What `items` raises is raised here. The thread ends when this generator is closed.
    """
    ready: queue.Queue[T | _End] = queue.Queue(maxsize=1)
    closed = threading.Event()

    def put(item: "T | _End") -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            with closing(items):
                for item in items:
                    if not put(item):
                        return
            put(_End())
        except BaseException as error:  # whatever it is, it belongs to whoever waits for the items
            put(_End(error))

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error:
            raise item.error
    finally:
        closed.set()
        thread.join()


class _End:
    """No more items, or what ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
