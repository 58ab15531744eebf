"""The things that move through `serving`: documents, sentences, predictions, records."""

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Annotated, Any, NoReturn


@dataclass(frozen=True, slots=True)
class Document:
    """A text to label, as a reader or a request gave it.

    `metadata` are the fields of its record that are neither id nor text; `carried` are those that
    its sentences' records get. `damage` names what happened to the text before it was read, and
    `notes` what reading did to it.
    """

    id: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    carried: dict[str, Any] = field(default_factory=dict)
    damage: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)


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


class _OnlyFromFiles:
    """Marks a field that the HTTP interface, whose documents come in requests, does not have."""

    def __get_pydantic_json_schema__(self, *_: Any) -> NoReturn:
        from pydantic_core import PydanticOmit

        raise PydanticOmit


@dataclass(frozen=True, slots=True)
class Record:
    """One sentence and its label.

    `sentence` counts from 0 in its document. `start` and `end` are offsets into the document, in
    Unicode code points. A sentence that could not be labelled has an `error` and no label. A
    sentence that was too long, of which only the beginning was read, has `truncated`. `damage`
    says what happened to the document's text before it was read. `carried` are fields of the
    document's own record, by name.
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
    damage: Annotated[str | None, _OnlyFromFiles()] = None
    carried: Annotated[dict[str, Any], _OnlyFromFiles()] = field(default_factory=dict)

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
        found = answer if isinstance(answer, Prediction) else None
        return cls(
            doc_id=document.id,
            sentence=number,
            start=sentence.start,
            end=sentence.end,
            text=sentence.text,
            label=found.label if found else None,
            probability=found.probability if found else None,
            certain=found is not None and found.certain,
            probabilities=found.probabilities if found else {},
            model=model,
            truncated=found is not None and found.truncated,
            error=answer.reason if isinstance(answer, Refusal) else None,
            damage=document.damage,
            carried=document.carried,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the public JSON object, carried fields last.

        `truncated`, `error` and `damage` are present only if they apply.
        """
        values = dict(zip(COLUMNS, _columns_of(self), strict=True))
        if not self.truncated:
            del values["truncated"]
        if self.error is None:
            del values["error"]
        if self.damage is None:
            del values["damage"]
        values.update(self.carried)
        return values


# Every field but `carried`, whose names are those of the input.
COLUMNS = tuple(column.name for column in fields(Record) if column.name != "carried")
_columns_of = attrgetter(*COLUMNS)
