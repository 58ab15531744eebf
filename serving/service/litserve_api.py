"""All that touches LitServe: its hooks and its loop in a worker, its server in the HTTP process.

LitServe's request queue is shared by all workers and lives in a manager process. A worker that is
killed while it waits on the queue takes the next request with it, and nobody can look into the
queue or take a request back. So each worker has a pipe of its own: PipeLoop, a custom loop
(`LitAPI(loop=LitLoop)`, which LitServe documents), reads it, and `pool` holds the queue.

LitServe 0.2.19 is pinned, because three things here are not documented. tests/serving/service
checks them against the pinned version: `inference_worker` (with the two arguments that it passes on
to the loop untouched), `LitServer._register_middleware`, and the routes that the app has after
`LitServer.__init__`.
"""

import ctypes
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from itertools import chain, islice, takewhile
from multiprocessing.connection import Connection
from typing import Any

from fastapi import FastAPI
from litserve import LitAPI, LitServer
from litserve.callbacks import CallbackRunner
from litserve.loops import LitLoop, inference_worker

from serving.errors import InputError
from serving.labelling import Splitter, Task, label, tasks, whole
from serving.records import Document, Record
from serving.service.messages import (
    Answer,
    Broken,
    Failed,
    Ready,
    Refused,
    Scored,
    Statistics,
    Work,
    WorkerOptions,
)
from serving.terminal import counted

# Sentences between two looks at the clock: a fraction of a second's work.
SLICE = 64

# Characters of text after which the C library is asked for the memory that it keeps.
MUCH = 200_000

log = logging.getLogger("rasd.worker")


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose documents are split: the sentences of each, unless it is `late`."""

    work: Work
    documents: list[list[Task]]
    late: bool

    @property
    def size(self) -> int:
        """The number of sentences."""
        return sum(map(len, self.documents))


class PipeLoop(LitLoop):  # type: ignore[misc]
    """Answers the requests of one pipe, a list of requests at a time."""

    def run(
        self,
        lit_api: "LabelAPI",
        _device: str,
        _worker: int,
        request_queue: Connection,
        transport: Connection,
        *_: object,
    ) -> None:
        """Report how loading went, then answer until the pipe is closed; end the process.

        LitServe hands over what `work` gave it: the queue and the transport are the same pipe.
        """
        try:
            transport.send(lit_api.loaded)
            while isinstance(lit_api.loaded, Ready):
                transport.send(self._answers(lit_api, request_queue.recv()))
        except (EOFError, OSError):
            pass  # the HTTP process has closed the pipe, or is gone
        raise SystemExit(0)

    def _answers(self, api: "LabelAPI", works: list[Work]) -> list[Answer] | Broken:
        try:
            return api.predict(works)
        except Exception:
            log.exception("failed on a request")
            return Broken()


class LabelAPI(LitAPI):  # type: ignore[misc]
    """The classifier of one bundle behind LitServe's hooks."""

    def __init__(self, options: WorkerOptions) -> None:
        """Take what to serve; `setup` loads it."""
        super().__init__(api_path="/v1/classify", loop=PipeLoop())
        self._options = options
        self.loaded: Ready | Failed = Failed("not set up")

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the bundle and score its golden sentences, which also warms it up."""
        # Not at the top: the HTTP process imports this class too and needs no ONNX Runtime.
        from serving.classifier import Classifier

        self._batches: list[int] = []
        try:
            self._classifier = Classifier.load(self._options.folder, threads=self._options.threads)
        except Exception as error:
            self.loaded = Failed(str(error) if isinstance(error, InputError) else repr(error))
            return
        if self._classifier.model != self._options.model:
            self.loaded = Failed(
                f"{self._options.folder}: holds {self._classifier.model} by now, and "
                f"{self._options.model} is served\nRestart the service, or put the old bundle back."
            )
            return
        self._classifier.watch_batches(self._batches.append)
        self.loaded = Ready(self._classifier.model)

    def predict(self, works: list[Work]) -> list[Answer]:
        """Score the sentences of all requests together; return one answer per request, in order.

        A request with too many sentences is not scored, and nothing after the last deadline.
        """
        limit = self._options.max_sentences
        requests = [_split(work, self._classifier.split, limit) for work in works]
        fitting = [request for request in requests if not request.late and request.size <= limit]
        self._batches.clear()
        started = time.monotonic()
        scored = iter(self._scored(fitting))
        seconds = time.monotonic() - started
        if sum(work.characters for work in works) > MUCH:
            _give_memory_back()
        answers: list[Answer] = []
        for request in requests:
            if request.late:
                answers.append(Refused("late", "The documents were not split in time."))
            elif request.size > limit:
                detail = f"At least {request.size:,} sentences; a request may have {limit:,}."
                answers.append(Refused("too_many", detail))
            else:
                answers.append(self._answer(request, list(islice(scored, request.size)), seconds))
        return answers

    def _scored(self, requests: Sequence[Request]) -> list[Record]:
        """Return the records of as many sentences as were begun before the last deadline."""
        every = chain.from_iterable(chain.from_iterable(r.documents for r in requests))
        chunks = label(every, self._classifier, SLICE)
        deadline = max((request.work.deadline for request in requests), default=0.0)
        records: list[Record] = []
        while time.monotonic() <= deadline and (chunk := next(chunks, None)):
            records += chunk
        return records

    def _answer(self, request: Request, records: list[Record], seconds: float) -> Answer:
        if len(records) < request.size:
            sentences = counted(request.size, "sentence")
            detail = f"In time, {len(records):,} of {sentences} could be scored."
            return Refused("late", detail)
        work = request.work
        groups = list(_grouped(request, iter(records)))
        records = [record for group in groups for record in group]
        if work.form == "predict" and len(records) == 1 and records[0].error:
            return Refused("unreadable", records[0].error)
        model = self._classifier.model
        body = json.dumps(_body(work, groups, model), ensure_ascii=False, separators=(",", ":"))
        statistics = _statistics(records, self._batches, seconds)
        self._batches.clear()  # the first request carries them
        return Scored(body.encode(), model, statistics)


class LabelServer(LitServer):  # type: ignore[misc]
    """LitServe's server with an empty app, for `app` to add our routes and middleware.

    Its own routes and middleware would lead around keys and limits, and compress every answer.
    """

    def __init__(
        self, options: WorkerOptions, life: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        """Take what the workers serve, and what to enter before and leave after serving."""
        self._life = life
        super().__init__(LabelAPI(options), accelerator="cpu", devices=1, timeout=False)

    def register_endpoints(self) -> None:
        """Leave no route: LitServe would add its own here, and FastAPI's /docs need a network."""
        self.app.router.routes.clear()

    def _register_middleware(self) -> None:
        """Add none of LitServe's."""

    def lifespan(self, app: FastAPI) -> AbstractAsyncContextManager[None]:  # noqa: ARG002
        """Start no manager and no worker: `pool` starts the workers."""
        return self._life()


def work(connection: Connection, options: WorkerOptions, number: int) -> None:
    """Be worker `number`: load the bundle, then answer the pipe until it is closed."""
    inference_worker(
        LabelAPI(options),
        "cpu",
        number,
        request_queue=connection,
        transport=connection,
        workers_setup_status={},
        callback_runner=CallbackRunner(),
        restart_workers=False,
    )


def _split(work: Work, by_classifier: Splitter, limit: int) -> Request:
    """Split documents until there are more than `limit` sentences or the deadline has passed."""
    split = by_classifier if work.form == "documents" else whole
    documents: list[list[Task]] = []
    room = limit + 1
    for name, text in zip(work.ids, work.texts, strict=True):
        # A null text is scored as an empty one; its record gets an error that says so.
        found = tasks([Document(name, text or "")], whole if text is None else split)
        in_time = takewhile(lambda _: time.monotonic() <= work.deadline, found)
        documents.append(list(islice(in_time, room)))
        room -= len(documents[-1])
    return Request(work, documents, late=time.monotonic() > work.deadline)


def _give_memory_back() -> None:
    """Return freed memory to the system, which glibc would keep after one large request."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _grouped(request: Request, records: Iterator[Record]) -> Iterator[list[Record]]:
    """Yield the records of each document."""
    for text, sentences in zip(request.work.texts, request.documents, strict=True):
        own = list(islice(records, len(sentences)))
        if text is None:
            own = [replace(record, error="nothing to classify: the text is null") for record in own]
        yield own


def _body(work: Work, groups: Sequence[Sequence[Record]], model: str) -> Any:
    if work.form == "predict":
        return [_ranked(record, work.top_k) for (record,) in groups]
    if work.form == "sentences":
        return {"model": model, "sentences": [record.as_dict() for (record,) in groups]}
    documents = [
        {"id": name, "sentences": [record.as_dict() for record in group]}
        for name, group in zip(work.ids, groups, strict=True)
    ]
    return {"model": model, "documents": documents}


def _ranked(record: Record, top_k: int | None) -> Any:
    """Return one answer in Hugging Face's form: labels and scores, best first."""
    if record.error:
        return {"error": record.error}
    pairs = sorted(record.probabilities.items(), key=lambda pair: -pair[1])
    return [{"label": name, "score": score} for name, score in pairs[:top_k]]


def _statistics(records: Sequence[Record], batches: Sequence[int], seconds: float) -> Statistics:
    labels = [record.label for record in records if record.label is not None]
    return Statistics(
        sentences=len(records),
        refused=len(records) - len(labels),
        uncertain=sum(record.label is not None and not record.certain for record in records),
        confidence=sum(record.probability or 0.0 for record in records),
        labels=dict(Counter(labels)),
        batch_tokens=tuple(batches),
        seconds=seconds,
    )
