"""One worker as the HTTP process sees it: its process, its pipe, its requests.

Everything runs on the event loop's thread, except that each worker has a thread of its own that
writes to and reads from its pipe: a worker that stops in the middle of a message blocks no other.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from queue import SimpleQueue
from threading import Thread

from serving.service.messages import Answer, Failed, Message, Ready, Work, WorkerOptions
from serving.service.worker_process import run_worker

# Seconds after a request's deadline at which its worker counts as stuck and is killed.
STUCK = 10.0
# Seconds that a worker may take to end after its pipe is closed.
LAST_ORDERS = 5.0


@dataclass(eq=False, slots=True)
class Job:
    """A request in flight."""

    work: Work
    answer: "asyncio.Future[Answer]"
    queued: float
    started: float = 0.0
    attempts: int = 0


class Worker:
    """One worker process, and the thread that talks to it."""

    def __init__(self, options: WorkerOptions, number: int) -> None:
        """Start the process, which loads its model; `attach` may come later."""
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process = context.Process(
            target=run_worker,
            args=(theirs, options, number),
            name=f"rasd-worker-{number}",
            daemon=True,  # it ends with this process
        )
        self.process.start()
        theirs.close()
        self.options = options
        self.number = number
        self.born = time.monotonic()
        self.jobs: list[Job] = []
        self.retired = False
        self._dead = False
        self._inbox: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._watchdog: asyncio.TimerHandle | None = None

    def attach(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        on_message: "Callable[[Worker, Message], None]",
        on_death: "Callable[[Worker], None]",
    ) -> None:
        """Listen to the worker: both run on the event loop's thread, `on_death` once and last."""
        self.loaded: asyncio.Future[Ready | Failed] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._on_message = on_message
        self._on_death = on_death
        # The operating system reports the end at once, whatever the thread is doing.
        loop.add_reader(self.process.sentinel, self._died)
        self._thread = Thread(target=self._talk, name=self.process.name, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and the process alive."""
        return self.loaded.done() and isinstance(self.loaded.result(), Ready) and not self.retired

    @property
    def gone(self) -> bool:
        """Whether the process has ended and `on_death` was called."""
        return self._gone.done()

    def give(self, jobs: list[Job]) -> None:
        """Give jobs to score together to a worker that is ready and has none."""
        self.jobs = jobs
        now = time.monotonic()
        for job in jobs:
            job.started = now
            job.attempts += 1
        remaining = max(0.0, max(job.work.deadline for job in jobs) - now)
        self._watchdog = self._loop.call_later(remaining + STUCK, self.process.kill)
        self._inbox.put([job.work for job in jobs])

    def finish(self) -> list[Job]:
        """Take the jobs back: they are answered, or the worker is dead."""
        jobs, self.jobs = self.jobs, []
        if self._watchdog:
            self._watchdog.cancel()
        return jobs

    def retire(self) -> None:
        """End the process after the jobs that it has."""
        self.retired = True
        self._inbox.put(None)

    async def ended(self) -> None:
        """Wait for the end of a retired worker; kill it if it does not end after its jobs."""
        if self.jobs:
            await asyncio.wait([job.answer for job in self.jobs])
        await asyncio.wait([self._gone], timeout=LAST_ORDERS)
        if not self._gone.done():
            self.process.kill()
        await self._gone

    def _talk(self) -> None:
        try:
            self._notify(self._on_message, self._connection.recv())
            while (works := self._inbox.get()) is not None:
                self._connection.send(works)
                self._notify(self._on_message, self._connection.recv())
        except (EOFError, OSError):
            pass  # the process is dead; its sentinel reports it
        finally:
            self._connection.close()
            self._notify(self._bury)

    def _notify(self, callback: "Callable[..., None]", *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is waiting
            self._loop.call_soon_threadsafe(callback, self, *arguments)

    def _died(self) -> None:
        self._loop.remove_reader(self.process.sentinel)
        self.retired = True
        self._dead = True
        self._inbox.put(None)  # the thread may still have a last message to deliver; then it ends

    def _bury(self, _: "Worker") -> None:
        if not self._dead:  # the pipe is closed and the process is about to end
            self._loop.call_later(0.01, self._bury, self)
            return
        self.process.join()
        if not self.loaded.done():
            self.loaded.set_result(Failed("the worker process died while it loaded its model"))
        self._on_death(self)
        self._gone.set_result(None)
