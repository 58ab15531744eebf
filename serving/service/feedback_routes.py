"""`POST /v1/feedback`: a correction from a request to the store."""

import logging
import unicodedata
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from serving.errors import did_you_mean
from serving.feedback import FeedbackStore, NewCorrection
from serving.feedback_engine import StoreError, StoreFullError
from serving.service.bodies import json_body, request_schema
from serving.service.http_problems import ProblemError, problems

_EXAMPLES = {
    "correction": {
        "text": "نفت الوزارة وقوع الهجوم.",
        "label": "denial",
        "predicted": "official_response",
        "model": "default@0123456789ab",
        "annotator": "desk-2",
    }
}
log = logging.getLogger("rasd.feedback")

Probability = Annotated[float, Field(ge=0, le=1)]
LabelName = Annotated[str, Field(min_length=1, max_length=100)]


class Decision(BaseModel):
    """The label that a person gave a sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str = Field(min_length=1, max_length=100_000, description="the sentence, unchanged")
    label: LabelName = Field(description="the right label")
    annotator: str | None = Field(default=None, max_length=200, description="who decided")
    note: str | None = Field(default=None, max_length=5000)

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: object) -> object:
        """Reject what PostgreSQL cannot store."""
        if isinstance(value, str) and "\0" in value:
            raise ValueError("contains a NUL character")
        return value

    @field_validator("text")
    @classmethod
    def _can_be_learned_from(cls, value: str) -> str:
        if not any(unicodedata.category(sign)[0] in "LN" for sign in value):
            raise ValueError("contains no letter or digit")
        return value


class Correction(Decision):
    """A user's decision on a sentence. A label that equals `predicted` confirms it."""

    predicted: LabelName = Field(description="the label that the model gave")
    model: str = Field(min_length=1, max_length=200, description="the answer's `model`")
    probabilities: dict[LabelName, Probability] | None = Field(
        default=None, max_length=100, description="the answer's `probabilities`"
    )


class CorrectionStored(BaseModel):
    """Where a correction is stored: in a new row, or in this annotator's row for this text."""

    id: int
    outcome: Literal["created", "updated"]


def router(store: FeedbackStore, labels: Callable[[], Sequence[str]]) -> APIRouter:
    """Return the route that stores corrections; `labels` are the names that are allowed."""
    routes = APIRouter(tags=["feedback"])

    @routes.post(
        "/v1/feedback",
        summary="Correct or confirm a label",
        status_code=201,
        responses={
            200: {"model": CorrectionStored, "description": "An earlier one was replaced."},
            **problems(400, 401, 413, 415, 422, 429, 503, 507),
        },
        openapi_extra=request_schema(Correction, _EXAMPLES),
    )
    def correct(
        request: Request,
        response: Response,
        correction: Annotated[Correction, Depends(json_body(Correction))],
    ) -> CorrectionStored:
        """Store a correction; it replaces the same annotator's earlier one for the same text."""
        check_label("label", correction.label, labels())
        check_label("predicted", correction.predicted, labels())
        caller: str = request.state.caller or ""
        annotator = (correction.annotator or "").strip()
        values = correction.model_dump(exclude={"annotator"})
        number, revision = save(store, NewCorrection(**values, annotator=annotator, caller=caller))
        if revision > 1:
            response.status_code = 200
        return CorrectionStored(id=number, outcome="created" if revision == 1 else "updated")

    return routes


def save(store: FeedbackStore, correction: NewCorrection) -> tuple[int, int]:
    """Store a correction and return its id and revision; raise ProblemError if that fails."""
    try:
        return store.add(correction)
    except StoreFullError as error:
        log.error("correction not stored", extra={"reason": str(error)})
        raise ProblemError(507, "feedback-full", str(error)) from error
    except StoreError as error:
        # The reason may name the database's host and user: it is for the log only.
        log.error("correction not stored", extra={"reason": str(error)})
        raise ProblemError(
            503,
            "feedback-unavailable",
            "The database of corrections does not answer; the service's log has the reason.",
            headers={"Retry-After": "10"},
        ) from error


def check_label(field: str, label: str, names: Sequence[str]) -> None:
    """Raise ProblemError (422) for a label that the model does not have."""
    if label not in names:
        shown = label[:100]  # Label Studio's choices may be of any length
        message = f"{shown!r} is not one of {', '.join(names)}.{did_you_mean(shown, names)}"
        raise ProblemError(
            422,
            "invalid",
            f"{field}: {message}",
            errors=[{"field": field, "message": message}],
        )
