"""The things that move through `serving`: documents, sentences, predictions, records."""

from dataclasses import dataclass, field, fields
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
    """The model's answer for one sentence.

    `label` is the most likely label; `certain` is false when its `probability` is below the
    bundle's threshold. `truncated` is true when the sentence was longer than the bundle's maximum
    and only its beginning was read; such a prediction is never certain.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    certain: bool
    truncated: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a sentence was not classified. The other sentences are not affected."""

    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence and its label.

    `sentence` counts from 0 in its document. `start` and `end` are offsets into the document, in
    Unicode code points. A sentence that could not be labelled has an `error` and no label. A
    sentence that was too long, of which only the beginning was read, has `truncated`.
    """

    # The only definition: JSON keys, CSV columns and the OpenAPI model derive from these fields.
    doc_id: str
    sentence: int
    start: int
    end: int
    text: str
    label: str | None
    probability: float | None
    certain: bool
    probabilities: dict[str, float]
    model: str
    truncated: bool = False
    error: str | None = None

    @classmethod
    def of(
        cls,
        document: Document,
        number: int,
        sentence: Sentence,
        answer: Prediction | Refusal,
        *,
        model: str,
    ) -> "Record":
        """Return the record of sentence `number` of a document, answered by `model`."""
        place = (document.id, number, sentence.start, sentence.end, sentence.text)
        if isinstance(answer, Refusal):
            return cls(*place, None, None, False, {}, model, error=answer.reason)
        return cls(
            *place,
            answer.label,
            answer.probability,
            answer.certain,
            answer.probabilities,
            model,
            truncated=answer.truncated,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the public JSON object; `truncated` and `error` are present only if they apply."""
        values = {name: getattr(self, name) for name in COLUMNS}
        if not self.truncated:
            del values["truncated"]
        if self.error is None:
            del values["error"]
        return values


COLUMNS = tuple(column.name for column in fields(Record))
