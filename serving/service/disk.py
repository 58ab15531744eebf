"""Reads from a disk that may never answer: in a thread, and no longer than a deadline."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


class Disk:
    """The reads of one task of the service, which does not wait for those that are late."""

    def __init__(self, name: str) -> None:
        """Take a name for the threads that read."""
        self._name = name
        self._thread: Thread | None = None

    @property
    def stuck(self) -> bool:
        """Whether a read that was late is still waiting; another would wait too."""
        return self._thread is not None and self._thread.is_alive()

    async def read(self, read: Callable[[], T], seconds: float) -> T:
        """Return what `read` does, or raise TimeoutError after so many seconds.

        A thread of asyncio's own would be waited for at exit, and a disk that does not answer
        would keep the service from ending.
        """
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()  # from now on it is never cancelled

        def work() -> None:
            try:
                outcome.set_result(read())
            except Exception as error:
                outcome.set_exception(error)

        self._thread = Thread(target=work, name=self._name, daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(outcome)
        except TimeoutError:
            raise TimeoutError(f"not read in {seconds:g} seconds") from None
