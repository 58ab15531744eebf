"""The HTTP process's end of the workers: one queue, and workers that are replaced when they die.

All of it runs on the event loop's thread, except that each worker has a thread which writes to its
pipe and waits on it: a worker that is stopped in the middle of a message blocks nobody else.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from queue import SimpleQueue
from threading import Thread
from typing import Any

from serving.bundle import Bundle, Manifest
from serving.errors import InputError, RasdError
from serving.service.messages import Answer, Failed, Ready, Work
from serving.service.worker import WorkerOptions, is_answer, run_worker

# How often a request is begun anew because its worker died: once, in case the request is why.
ATTEMPTS = 2
# Seconds over a request's deadline after which its worker counts as stuck and is killed.
STUCK = 10.0
# A worker that dies younger than this, in seconds, is replaced more slowly each time.
INFANCY = 5.0
SLOWEST_RESTART = 30.0
# Seconds that a worker may take to end after its pipe is closed.
LAST_ORDERS = 5.0

log = logging.getLogger("rasd.pool")


class WorkerLostError(RasdError):
    """The worker died over a request, twice."""


class DeadlineError(RasdError):
    """A request's deadline came before its answer."""


class BrokenRequestError(RasdError):
    """The worker failed on a request with an error of its own."""


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
        self.job: Job | None = None
        self.retired = False
        self._dead = False
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()
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

    def give(self, job: Job) -> None:
        """Start on a job; the worker must be ready and without one."""
        self.job = job
        job.started = time.monotonic()
        job.attempts += 1
        remaining = max(0.0, job.work.deadline - job.started)
        self._watchdog = self._loop.call_later(remaining + STUCK, self.process.kill)
        self._inbox.put(job.work)

    def finish(self) -> Job | None:
        """Return the job in hand, which is over, and be without one."""
        job, self.job = self.job, None
        if self._watchdog:
            self._watchdog.cancel()
        return job

    def retire(self) -> None:
        """End the process when it has done its job, if it has one."""
        self.retired = True
        self._inbox.put(None)

    async def ended(self) -> None:
        """Wait for the end of a retired worker, and hurry it when it dawdles after its job."""
        if self.job:
            await asyncio.wait([self.job.answer])
        await asyncio.wait([self._gone], timeout=LAST_ORDERS)
        if not self._gone.done():
            self.process.kill()
        await self._gone

    def _talk(self) -> None:
        try:
            self._tell(self._on_message, self._connection.recv())
            while (work := self._inbox.get()) is not None:
                self._connection.send(work)
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


@dataclass(eq=False, slots=True)
class Generation:
    """The workers of one bundle."""

    bundle: Bundle
    workers: list[Worker]
    loaded: bool = False

    @property
    def ready(self) -> bool:
        """Whether every worker is."""
        return bool(self.workers) and all(worker.ready for worker in self.workers)


class Pool:
    """The workers of the current bundle, and the requests that wait for them."""

    def __init__(self, bundle: Bundle, *, workers: int, threads: int, max_sentences: int) -> None:
        """Start the processes, of `threads` threads each; `start` listens to them."""
        self._size = workers
        self._threads = threads
        self._max_sentences = max_sentences
        self._queue: deque[Job] = deque()
        self._failures = 0
        self._stopping = False
        self.restarts = 0
        self.current = self._generation(bundle)

    @property
    def ready(self) -> bool:
        """Whether every worker of the current bundle is alive and ready."""
        return self.current.ready and not self._stopping

    @property
    def model(self) -> str:
        """The name of the model that new requests are given; empty until it is loaded."""
        return self.current.bundle.manifest.model if self.current.loaded else ""

    @property
    def manifest(self) -> Manifest:
        """The manifest of that model."""
        return self.current.bundle.manifest

    @property
    def waiting(self) -> int:
        """Requests that no worker has begun."""
        return len(self._queue)

    @property
    def processes(self) -> dict[str, int]:
        """The workers' names and process ids."""
        return {w.process.name: w.process.pid for w in self.current.workers if w.process.pid}

    async def start(self) -> None:
        """Wait until the first workers are ready; raise InputError when they cannot be."""
        self._attach(self.current)
        await self._loaded(self.current)

    async def swap(self, bundle: Bundle) -> None:
        """Put a bundle in the place of the current one, once its workers are ready.

        Requests that are being scored end with the model they began with; those that wait get the
        new one. When the new bundle does not load, InputError says why and nothing has changed.
        """
        coming = self._generation(bundle)
        self._attach(coming)
        try:
            await self._loaded(coming)
        except BaseException:
            await self._dismiss(coming)
            raise
        leaving, self.current = self.current, coming
        self._failures = 0
        self._dispatch()
        await self._dismiss(leaving)

    async def score(self, work: Work) -> tuple[Answer, Job]:
        """Return the answer to a request, and the job with its times.

        Raises DeadlineError, WorkerLostError or BrokenRequestError. Cancelled, a request that
        waits is forgotten.
        """
        loop = asyncio.get_running_loop()
        job = Job(work, loop.create_future(), time.monotonic())
        self._queue.append(job)
        self._dispatch()
        try:
            async with asyncio.timeout(work.deadline - time.monotonic()):
                return await job.answer, job
        except TimeoutError:
            raise DeadlineError("the deadline has passed") from None
        finally:
            job.answer.cancel()
            with suppress(ValueError):
                self._queue.remove(job)

    async def stop(self) -> None:
        """End every worker; requests that still wait are given up."""
        self._stopping = True
        for job in self._queue:
            if not job.answer.done():
                job.answer.set_exception(WorkerLostError("the service is stopping"))
        await self._dismiss(self.current)

    def kill(self) -> None:
        """End every worker now, whatever it does; needs no event loop."""
        for worker in self.current.workers:
            worker.process.kill()

    def _generation(self, bundle: Bundle) -> Generation:
        options = WorkerOptions(bundle.folder, self._threads, self._max_sentences)
        return Generation(bundle, [Worker(options, number) for number in range(self._size)])

    def _attach(self, generation: Generation) -> None:
        for worker in generation.workers:
            self._listen(worker)

    def _listen(self, worker: Worker) -> None:
        worker.attach(
            asyncio.get_running_loop(), on_message=self._on_message, on_death=self._on_death
        )

    async def _loaded(self, generation: Generation) -> None:
        for outcome in await asyncio.gather(*(worker.loaded for worker in generation.workers)):
            if isinstance(outcome, Failed):
                problem, _, remedy = outcome.reason.partition("\n")
                raise InputError(problem, remedy or "The log may say more.")
        generation.loaded = True

    async def _dismiss(self, generation: Generation) -> None:
        for worker in generation.workers:
            worker.retire()
        await asyncio.gather(*(worker.ended() for worker in generation.workers))

    def _dispatch(self) -> None:
        for worker in self.current.workers:
            while self._queue and worker.ready and worker.job is None:
                job = self._queue.popleft()
                if not job.answer.done():  # its client is still there
                    worker.give(job)

    def _on_message(self, worker: Worker, message: Any) -> None:
        if isinstance(message, Ready | Failed):
            worker.loaded.set_result(message)
        elif (job := worker.finish()) and not job.answer.done():
            if is_answer(message):
                job.answer.set_result(message[1])
            else:
                job.answer.set_exception(BrokenRequestError("the worker failed; see the log"))
        self._dispatch()

    def _on_death(self, worker: Worker) -> None:
        job = worker.finish()
        if job and not job.answer.done():
            if job.attempts < ATTEMPTS and not self._stopping:
                self._queue.appendleft(job)
            else:
                job.answer.set_exception(WorkerLostError("the worker died over this request"))
        if worker in self.current.workers and not self._stopping:
            self._replace(worker)
        self._dispatch()

    def _replace(self, worker: Worker) -> None:
        age = time.monotonic() - worker.born
        self._failures = self._failures + 1 if age < INFANCY else 0
        wait = min(SLOWEST_RESTART, 0.25 * 2**self._failures) if self._failures else 0.0
        outcome = worker.loaded.result()
        log.error(
            "worker died",
            extra={
                "worker": worker.number,
                "exit_code": worker.process.exitcode,
                "reason": outcome.reason if isinstance(outcome, Failed) else None,
                "restart_in_seconds": wait,
            },
        )
        asyncio.get_running_loop().call_later(wait, self._restart, worker)

    def _restart(self, dead: Worker) -> None:
        if self._stopping or dead not in self.current.workers:
            return
        self.restarts += 1
        worker = Worker(dead.options, dead.number)
        self.current.workers[self.current.workers.index(dead)] = worker
        self._listen(worker)
