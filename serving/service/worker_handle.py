"""One worker as the HTTP process sees it: its process, its pipe, the requests in its hands.

All of it runs on the event loop's thread, except that each worker has a thread which writes to its
pipe and waits on it: a worker that is stopped in the middle of a message blocks nobody else.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from queue import SimpleQueue
from threading import Thread

from serving.service.messages import Answer, Failed, Ready, Work
from serving.service.worker_process import WorkerOptions, run_worker

# Seconds over a request's deadline after which its worker counts as stuck and is killed.
STUCK = 10.0
# Seconds that a worker may take to end after its pipe is closed.
LAST_ORDERS = 5.0


@dataclass(eq=False, slots=True)
class Job:
    """A request on its way."""

    work: Work
    answer: "asyncio.Future[Answer]"
    queued: float
    started: float = 0.0
    attempts: int = 0


class Worker:
    """One worker process, and the thread that talks with it."""

    def __init__(self, options: WorkerOptions, number: int) -> None:
        """Start the process; it loads its model while `attach` is still to come."""
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process = context.Process(
            target=run_worker,
            args=(theirs, options, number),
            name=f"rasd-worker-{number}",
            daemon=True,  # whatever ends this process ends it
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
        on_message: "Callable[[Worker, object], None]",
        on_death: "Callable[[Worker], None]",
    ) -> None:
        """Begin to listen: both are called on the event loop's thread, `on_death` once and last."""
        self.loaded: asyncio.Future[Ready | Failed] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._on_message = on_message
        self._on_death = on_death
        # The operating system's word, which comes at once, whatever the thread is doing.
        loop.add_reader(self.process.sentinel, self._died)
        self._thread = Thread(target=self._talk, name=self.process.name, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and the process alive."""
        return self.loaded.done() and isinstance(self.loaded.result(), Ready) and not self.retired

    def give(self, jobs: list[Job]) -> None:
        """Start on jobs, which are scored together; the worker must be ready and without any."""
        self.jobs = jobs
        now = time.monotonic()
        for job in jobs:
            job.started = now
            job.attempts += 1
        remaining = max(0.0, max(job.work.deadline for job in jobs) - now)
        self._watchdog = self._loop.call_later(remaining + STUCK, self.process.kill)
        self._inbox.put([job.work for job in jobs])

    def finish(self) -> list[Job]:
        """Return the jobs in hand, which are over, and be without any."""
        jobs, self.jobs = self.jobs, []
        if self._watchdog:
            self._watchdog.cancel()
        return jobs

    def retire(self) -> None:
        """End the process when it has done its jobs, if it has any."""
        self.retired = True
        self._inbox.put(None)

    async def ended(self) -> None:
        """Wait for the end of a retired worker, and hurry it when it dawdles after its jobs."""
        if self.jobs:
            await asyncio.wait([job.answer for job in self.jobs])
        await asyncio.wait([self._gone], timeout=LAST_ORDERS)
        if not self._gone.done():
            self.process.kill()
        await self._gone

    def _talk(self) -> None:
        try:
            self._tell(self._on_message, self._connection.recv())
            while (works := self._inbox.get()) is not None:
                self._connection.send(works)
                self._tell(self._on_message, self._connection.recv())
        except (EOFError, OSError):
            pass  # the process is dead: its sentinel says so
        finally:
            self._connection.close()
            self._tell(self._bury)

    def _tell(self, callback: "Callable[..., None]", *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know
            self._loop.call_soon_threadsafe(callback, self, *arguments)

    def _died(self) -> None:
        self._loop.remove_reader(self.process.sentinel)
        self.retired = True
        self._dead = True
        self._inbox.put(None)  # the thread may still have a last message to tell; then it ends

    def _bury(self, _: "Worker") -> None:
        if not self._dead:  # the pipe is closed and the process is about to end
            self._loop.call_later(0.01, self._bury, self)
            return
        self.process.join()
        if not self.loaded.done():
            self.loaded.set_result(Failed("the worker process died while it loaded its model"))
        self._on_death(self)
        self._gone.set_result(None)
