"""The things that move through serving, each defined once."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """A text to label, as a reader or a request gave it."""

    id: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of a document: `text == document.text[start:end]`, in Unicode code points."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one sentence.

    `certain` is false when `probability` is under the bundle's threshold; `label` is still the
    best one. `truncated` says that the sentence was longer than the bundle's maximum and that
    only its beginning was read.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    certain: bool
    truncated: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a sentence was not classified. Its neighbours are not affected."""

    reason: str


def sentence_record(
    document: Document,
    number: int,
    sentence: Sentence,
    answer: Prediction | Refusal,
    *,
    model: str,
) -> dict[str, Any]:
    """Return the public record of one sentence, the same over every road out of `rasd`.

    `number` counts from 0 in the document. `truncated` and `error` are there only where they
    apply; a refused sentence has null for its label and probability.
    """
    record: dict[str, Any] = {
        "doc_id": document.id,
        "sentence": number,
        "start": sentence.start,
        "end": sentence.end,
        "text": sentence.text,
        "label": None,
        "probability": None,
        "certain": False,
        "probabilities": {},
        "model": model,
    }
    if isinstance(answer, Refusal):
        return record | {"error": answer.reason}
    record |= {
        "label": answer.label,
        "probability": answer.probability,
        "certain": answer.certain,
        "probabilities": answer.probabilities,
    }
    return record | {"truncated": True} if answer.truncated else record
