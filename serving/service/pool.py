"""The request queue and the worker processes, which are replaced when they die.

Small requests that wait are batched: together their sentences use the worker's cores better, and a
sentence's score does not depend on what it is scored with.
"""

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from serving.bundle import Bundle, Manifest
from serving.errors import InputError
from serving.service.http_problems import ProblemError, failed, late, worker_lost
from serving.service.messages import Answer, Broken, Failed, Message, Ready, Work, WorkerOptions
from serving.service.worker_handle import Job, Worker

# How often a request is tried: a second time, alone, if its worker died or failed on it.
ATTEMPTS = 2
# The most characters of text in a batch of several requests: about 60 sentences, a fraction of a
# second's work. More would not be faster, and other requests would wait longer.
TOGETHER = 15_000
# A worker that dies younger than this, in seconds, is replaced with exponential back-off.
INFANCY = 5.0
SLOWEST_RESTART = 30.0

log = logging.getLogger("rasd.pool")


@dataclass(eq=False, slots=True)
class Generation:
    """The workers of one bundle."""

    bundle: Bundle
    options: WorkerOptions
    workers: list[Worker]
    loaded: bool = False

    @property
    def ready(self) -> bool:
        """Whether every worker is."""
        return bool(self.workers) and all(worker.ready for worker in self.workers)


class Pool:
    """The workers of the current bundle, and the queue in front of them."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        workers: int,
        threads: int,
        max_sentences: int,
        load_seconds: float,
    ) -> None:
        """Start the processes, each with `threads` threads; `start` listens to them.

        A bundle that is not loaded and tried in `load_seconds` is refused.
        """
        self._size = workers
        self._load_seconds = load_seconds
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
        """The name of the model that scores new requests; empty until it is loaded."""
        return self.current.bundle.manifest.model if self.current.loaded else ""

    @property
    def manifest(self) -> Manifest:
        """The manifest of that model."""
        return self.current.bundle.manifest

    @property
    def waiting(self) -> int:
        """The number of queued requests."""
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
        """Replace the current bundle once the workers of the new one are ready.

        Requests being scored finish with the old model; queued ones get the new model. Raises
        InputError, and changes nothing, if the new bundle does not load.
        """
        coming = self._generation(bundle)
        self._attach(coming)
        try:
            await self._loaded(coming)
        except BaseException:
            for worker in coming.workers:  # they have no requests, and may be in an endless graph
                worker.process.kill()
            await self._dismiss(coming)
            raise
        leaving, self.current = self.current, coming
        self._failures = 0
        for worker in coming.workers:
            if worker.gone:  # it died after it was ready, while another one was still loading
                self._replace(worker)
        self._dispatch()
        await self._dismiss(leaving)

    async def score(self, work: Work) -> tuple[Answer, float]:
        """Return the answer to a request and the seconds for which it was queued.

        Raises ProblemError when the deadline passes, or when the worker dies or fails on the
        request twice. A queued request is dropped when the caller is cancelled.
        """
        if work.deadline <= time.monotonic():
            raise late()
        job = Job(work, asyncio.get_running_loop().create_future(), time.monotonic())
        self._queue.append(job)
        self._dispatch()
        try:
            async with asyncio.timeout(work.deadline - time.monotonic()):
                return await job.answer, job.started - job.queued
        except TimeoutError:
            raise late() from None
        finally:
            job.answer.cancel()
            with suppress(ValueError):
                self._queue.remove(job)

    async def stop(self) -> None:
        """End every worker; queued requests are answered 503."""
        self._stopping = True
        for job in self._queue:
            if not job.answer.done():
                job.answer.set_exception(worker_lost("The service is stopping."))
        await self._dismiss(self.current)

    def kill(self) -> None:
        """Kill every worker now; needs no event loop."""
        for worker in self.current.workers:
            worker.process.kill()

    def _generation(self, bundle: Bundle) -> Generation:
        options = WorkerOptions(
            bundle.folder, bundle.manifest.model, self._threads, self._max_sentences
        )
        workers = [Worker(options, number) for number in range(self._size)]
        return Generation(bundle, options, workers)

    def _attach(self, generation: Generation) -> None:
        for worker in generation.workers:
            self._listen(worker)

    def _listen(self, worker: Worker) -> None:
        worker.attach(
            asyncio.get_running_loop(), on_message=self._on_message, on_death=self._on_death
        )

    async def _loaded(self, generation: Generation) -> None:
        # Shielded: a caller that stops waiting does not stop the worker.
        loaded = [asyncio.shield(worker.loaded) for worker in generation.workers]
        try:
            async with asyncio.timeout(self._load_seconds):
                outcomes = await asyncio.gather(*loaded)
        except TimeoutError:
            raise InputError(
                f"{generation.bundle.folder}: not loaded and tried in {self._load_seconds:g} "
                "seconds",
                "Give it more time with limits.load_seconds, or make the bundle again.",
            ) from None
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                problem, _, remedy = outcome.reason.partition("\n")
                raise InputError(problem, remedy or "See the log for details.")
        generation.loaded = True

    async def _dismiss(self, generation: Generation) -> None:
        for worker in generation.workers:
            worker.retire()
        await asyncio.gather(*(worker.ended() for worker in generation.workers))

    def _dispatch(self) -> None:
        for worker in self.current.workers:
            if worker.ready and not worker.jobs and (jobs := self._next_jobs()):
                worker.give(jobs)

    def _next_jobs(self) -> list[Job]:
        """Take the oldest request from the queue, and those behind it that fit in its batch.

        A request that is retried goes alone: it may be why its worker died.
        """
        jobs: list[Job] = []
        characters = 0
        while self._queue:
            job = self._queue[0]
            if not job.answer.done():  # its client is still there
                characters += job.work.characters
                retried = job.attempts or (jobs and jobs[0].attempts)
                if jobs and (retried or characters > TOGETHER):
                    break
                jobs.append(job)
            self._queue.popleft()
        return jobs

    def _on_message(self, worker: Worker, message: Message) -> None:
        if isinstance(message, Ready | Failed):
            worker.loaded.set_result(message)
        elif isinstance(message, Broken):
            self._retry(worker.finish(), failed())
        else:
            for job, answer in zip(worker.finish(), message, strict=True):
                if not job.answer.done():
                    job.answer.set_result(answer)
        self._dispatch()

    def _on_death(self, worker: Worker) -> None:
        self._retry(worker.finish(), worker_lost("The worker process died on this request, twice."))
        if worker in self.current.workers and not self._stopping:
            self._replace(worker)
        self._dispatch()

    def _retry(self, jobs: list[Job], problem: ProblemError) -> None:
        """Queue unanswered jobs again; answer those that used up their attempts with `problem`."""
        for job in reversed(jobs):
            if job.answer.done():
                continue
            if job.attempts < ATTEMPTS and not self._stopping:
                self._queue.appendleft(job)
            else:
                job.answer.set_exception(problem)

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
