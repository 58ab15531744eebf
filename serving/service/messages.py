"""What goes to a worker and what comes back: plain values, for they cross a pipe."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Work:
    """One request to score: documents to split, or sentences as they are.

    `deadline` is a time of `time.monotonic()`, which all processes of a machine share.
    """

    form: Literal["documents", "sentences", "predict"]
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    deadline: float
    top_k: int | None = None

    @property
    def characters(self) -> int:
        """How much text it is."""
        return sum(map(len, self.texts))


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one request was made of, for the metrics.

    `seconds` is the time of all requests that were scored together with it, and `batch_tokens` are
    their micro-batches, which only the first of them tells of.
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
    """Why a whole request was not scored, found out only by the worker.

    `too_many` sentences came out of its documents, its one sentence was `unreadable`, or its
    deadline passed (`late`).
    """

    why: Literal["too_many", "unreadable", "late"]
    detail: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has loaded and tried its model."""

    model: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker could not load its model; it ends."""

    reason: str


Answer = Scored | Refused
