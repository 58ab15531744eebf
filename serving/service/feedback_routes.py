"""`POST /v1/feedback`: a correction from a request to the store."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from serving.errors import did_you_mean
from serving.feedback import FeedbackStore, NewCorrection, StoreError, StoreFullError
from serving.service.bodies import json_body, request_schema
from serving.service.http_problems import MEDIA_TYPE, ProblemError

_EXAMPLES = {
    "correction": {
        "text": "نفت الوزارة صحة الأنباء.",
        "label": "denial",
        "predicted": "official_response",
        "model": "default@0123456789ab",
        "annotator": "desk-2",
    }
}
_REASONS = {
    400: "The body is not JSON.",
    401: "The API key is missing or unknown.",
    413: "The body is too large.",
    422: "A field is wrong.",
    429: "The key has used up its requests for now.",
    503: "The database of corrections does not answer.",
    507: "There is no room left for corrections.",
}

Probability = Annotated[float, Field(ge=0, le=1)]
LabelName = Annotated[str, Field(min_length=1, max_length=100)]


class Correction(BaseModel):
    """What an analyst says of a sentence. A label that equals `predicted` confirms it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(min_length=1, max_length=100_000, description="the sentence, as it stands")
    label: LabelName = Field(description="the right label")
    predicted: LabelName = Field(description="the label that the model gave")
    model: str = Field(min_length=1, max_length=200, description="the answer's `model`")
    probabilities: dict[LabelName, Probability] | None = Field(
        default=None, max_length=100, description="the answer's `probabilities`"
    )
    annotator: str | None = Field(default=None, max_length=200, description="who says so")
    note: str | None = Field(default=None, max_length=5000)

    @field_validator("text", "label", "predicted", "model", "annotator", "note")
    @classmethod
    def _no_nul(cls, value: str | None) -> str | None:
        """Refuse what PostgreSQL cannot keep."""
        if value and "\0" in value:
            raise ValueError("holds a NUL character")
        return value

    @field_validator("text")
    @classmethod
    def _can_be_learned_from(cls, value: str) -> str:
        if not any(unicodedata.category(sign)[0] in "LN" for sign in value):
            raise ValueError("holds no letter or digit")
        return value


class CorrectionStored(BaseModel):
    """Where a correction went: a new row, or the one this annotator had made for this text."""

    id: int
    outcome: Literal["created", "updated"]


def router(store: FeedbackStore, labels: Callable[[], Sequence[str]]) -> APIRouter:
    """Return the route that stores corrections; `labels` are the names that one may give."""
    routes = APIRouter(tags=["feedback"])
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

    @routes.post(
        "/v1/feedback",
        summary="Correct or confirm a label",
        status_code=201,
        responses={
            200: {"model": CorrectionStored, "description": "An earlier one was replaced."},
            **{status: {"description": r, "content": content} for status, r in _REASONS.items()},
        },
        openapi_extra=request_schema(Correction, _EXAMPLES),
    )
    def correct(
        request: Request,
        response: Response,
        correction: Annotated[Correction, Depends(json_body(Correction))],
    ) -> CorrectionStored:
        """Keep a correction. The same annotator's earlier one of the same text is replaced."""
        _check_label("label", correction.label, labels())
        _check_label("predicted", correction.predicted, labels())
        caller: str = request.state.caller or ""
        annotator = (correction.annotator or "").strip()
        values = correction.model_dump(exclude={"annotator"})
        try:
            number, revision = store.add(
                NewCorrection(**values, annotator=annotator, caller=caller)
            )
        except StoreFullError as error:
            raise ProblemError(507, "feedback-full", str(error)) from error
        except StoreError as error:
            raise ProblemError(
                503, "feedback-unavailable", str(error), headers={"Retry-After": "10"}
            ) from error
        if revision > 1:
            response.status_code = 200
        return CorrectionStored(id=number, outcome="created" if revision == 1 else "updated")

    return routes


def _check_label(field: str, label: str, names: Sequence[str]) -> None:
    if label not in names:
        message = f"{label!r} is not one of {', '.join(names)}.{did_you_mean(label, names)}"
        raise ProblemError(
            422,
            "invalid",
            f"{field}: {message}",
            errors=[{"field": field, "message": message}],
        )
