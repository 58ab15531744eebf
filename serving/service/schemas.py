"""The requests and answers of the HTTP interface, as its OpenAPI document shows them."""

import json
import math
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

from serving.labels import Label
from serving.records import Record


def _as_text(value: object) -> object:
    """Return the JSON text of a number or a boolean, as `rasd classify` does for ids."""
    if isinstance(value, float) and not math.isfinite(value):  # 1e400, like every other such number
        raise ValueError("the number is too large; send it as a string")
    return json.dumps(value) if isinstance(value, int | float) else value


Identifier = Annotated[
    str,
    Field(max_length=1000),
    BeforeValidator(_as_text, json_schema_input_type=str | int | float | bool),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DocumentIn(BaseModel):
    """A text to split into sentences. Other keys are ignored. A null text gets an `error`."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    id: Identifier | None = Field(default=None, description="default: its position, from 0")
    text: str | None


# Only the first wrong item of a long list is reported.
Documents = TypeAliasType("Documents", Annotated[list[DocumentIn], FailFast()])
Texts = TypeAliasType("Texts", Annotated[list[str | None], FailFast()])


class ClassifyRequest(_Request):
    """Documents, which are split into sentences, or sentences, which are scored as they are."""

    documents: Documents | None = None
    sentences: Texts | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ClassifyRequest":
        if (self.documents is None) == (self.sentences is None):
            raise ValueError("give either documents or sentences")
        return self


class PredictParameters(BaseModel):
    """Hugging Face's parameters for text classification; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    top_k: int | None = Field(default=None, ge=1, description="how many labels; default: all")
    function_to_apply: Literal["softmax"] | None = None


class PredictRequest(BaseModel):
    """A request in the Hugging Face form."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    inputs: Annotated[
        Texts,
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": ["string", "null"]}},
                ]
            }
        ),
    ]
    parameters: PredictParameters | None = None


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
    """Why a text was not scored. The other texts are not affected."""

    error: str


class LimitsOut(BaseModel):
    """The limits of one request."""

    sentences: int
    body_bytes: int


class ModelAnswer(BaseModel):
    """The model being served."""

    model: str
    name: str
    version: str
    labels: tuple[Label, ...]
    threshold: float
    max_length: int
    normalizer: str
    metrics: dict[str, Any]
    limits: LimitsOut


class Health(BaseModel):
    """The answer to a probe.

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
