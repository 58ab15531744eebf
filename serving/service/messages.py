"""What goes to a worker process and what comes back: plain values, because they are pickled."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker serves: a bundle's folder, its threads, the sentences allowed per request.

    `model` is what the folder held when the service read it. A worker that replaces a dead one
    loads it later, and must not answer beside the others with another model.
    """

    folder: Path
    model: str
    threads: int
    max_sentences: int


@dataclass(frozen=True, slots=True)
class Work:
    """One request to score: documents to split, or sentences to score as they are.

    A text that was null in the request is None and gets an error of its own. `deadline` is a time
    of `time.monotonic()`, which all processes of a machine share.
    """

    form: Literal["documents", "sentences", "predict"]
    ids: tuple[str, ...]
    texts: tuple[str | None, ...]
    deadline: float
    top_k: int | None = None

    @property
    def characters(self) -> int:
        """The length of all texts together."""
        return sum(len(text or "") for text in self.texts)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts of one request, for the metrics.

    `seconds` is the time for all requests that were scored together. `batch_tokens` are their
    micro-batches; only the first of these requests carries them, so that they are counted once.
    """

    sentences: int = 0
    refused: int = 0
    uncertain: int = 0
    confidence: float = 0.0  # the sum of the probabilities of the labels given
    labels: dict[str, int] = field(default_factory=dict)
    batch_tokens: tuple[int, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Scored:
    """The body of a 200 answer, as JSON, and the model that made it."""

    body: bytes
    model: str
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a whole request was not scored, when only the worker can know.

    Its documents have `too_many` sentences, its only text is `unreadable`, or its deadline has
    passed (`late`).
    """

    why: Literal["too_many", "unreadable", "late"]
    detail: str


Answer = Scored | Refused


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded and tested its model."""

    model: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker could not load its model; it ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker failed on the requests it was given; its log has the traceback."""


# A worker sends Ready or Failed once, then for each list of requests their answers, or Broken.
Message = Ready | Failed | Broken | list[Answer]
