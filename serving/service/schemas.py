"""What the HTTP interface takes and gives, as its OpenAPI document shows it."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    WithJsonSchema,
    model_validator,
)
from typing_extensions import TypeAliasType

# What one document is called when the request gives it no id is its place, counted from 0.
Identifier = Annotated[str, Field(max_length=1000)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DocumentIn(BaseModel):
    """A text to split into sentences. Other keys are left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    id: Identifier | None = Field(default=None, description="default: its place, from 0")
    text: str


# A long list that is wrong all through is told of its first item.
Documents = TypeAliasType("Documents", Annotated[list[DocumentIn], FailFast()])
Texts = TypeAliasType("Texts", Annotated[list[str], FailFast()])


class ClassifyRequest(_Request):
    """Documents, which are split into sentences, or sentences, which are scored as they are."""

    documents: Documents | None = None
    sentences: Texts | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ClassifyRequest":
        if (self.documents is None) == (self.sentences is None):
            raise ValueError("give documents or sentences, one of the two")
        return self


class PredictParameters(BaseModel):
    """Hugging Face's parameters for text classification; unknown ones are left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    top_k: int | None = Field(default=None, ge=1, description="how many labels; default: all")
    function_to_apply: Literal["softmax"] | None = None


class PredictRequest(BaseModel):
    """Hugging Face's form of a request."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    inputs: Annotated[
        Texts,
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        ),
    ]
    parameters: PredictParameters | None = None


class Record(BaseModel):
    """One sentence and its label.

    `start` and `end` are offsets in Unicode code points into the document. A sentence that could
    not be labelled has `error`, and no label; one that was too long has `truncated`.
    """

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
    truncated: bool | None = None
    error: str | None = None


class DocumentOut(BaseModel):
    """A document's sentences."""

    id: str
    sentences: list[Record]


class DocumentsAnswer(BaseModel):
    """The answer to documents."""

    model: str
    documents: list[DocumentOut]


class SentencesAnswer(BaseModel):
    """The answer to sentences."""

    model: str
    sentences: list[Record]


class Score(BaseModel):
    """A label and its probability."""

    label: str
    score: float


class Unreadable(BaseModel):
    """Why a text was not scored; its neighbours are not affected."""

    error: str


class LabelOut(BaseModel):
    """A label: its name, its Arabic name and its colour."""

    name: str
    arabic: str
    colour: str


class LimitsOut(BaseModel):
    """What one request may hold."""

    sentences: int
    body_bytes: int


class ModelAnswer(BaseModel):
    """What is being served."""

    model: str
    name: str
    version: str
    labels: list[LabelOut]
    threshold: float
    max_length: int
    normalizer: str
    metrics: dict[str, Any]
    limits: LimitsOut


class Health(BaseModel):
    """Whether a probe is content.

    `following` is there when a registry is followed: false when it is no longer looked at.
    """

    ok: bool
    model: str | None = None
    following: bool | None = None


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error, in the form of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] | None = None
