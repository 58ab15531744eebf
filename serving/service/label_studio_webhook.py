"""Label Studio's webhook: what an annotator chose is stored as a correction."""

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from pydantic_core import from_json

from serving.feedback import FeedbackStore, NewCorrection
from serving.labels import LabelScheme
from serving.service.bodies import checked, json_body, request_schema
from serving.service.feedback_routes import Decision, check_label, save
from serving.service.http_problems import ProblemError, problems
from serving.service.label_studio_routes import PREFIX, TAG, LabelTask, Sent, control_of
from serving.service.pool import Pool
from serving.service.scoring import Scorer

# Seconds for the model's answer. Label Studio gives up on a webhook after one second.
_PATIENCE = 0.5
# An annotator's own work. ANNOTATIONS_CREATED is not: it reports predictions that became
# annotations all at once, and a model must not learn its own answers.
_ANNOTATED = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED")

log = logging.getLogger("rasd.label_studio")


class Event(Sent):
    """What happened in a project. Only an annotator's work is stored."""

    action: str = Field(max_length=100)
    annotation: Any = None
    task: Any = None
    project: Any = None


class _Annotation(Sent):
    result: list[dict[str, Any]]
    was_cancelled: bool = False
    completed_by: int | None = None


class _Project(Sent):
    label_config: str


class _Annotated(Sent):
    annotation: _Annotation
    task: LabelTask
    project: _Project


class Stored(BaseModel):
    """How many annotations were stored."""

    stored: int


def router(pool: Pool, scorer: Scorer, store: FeedbackStore) -> APIRouter:
    """Return the route of the webhook."""
    routes = APIRouter(prefix=PREFIX, tags=[TAG])

    @routes.post(
        "/webhook",
        summary="Store an annotation",
        responses=problems(400, 401, 408, 413, 415, 422, 429, 503, 507),
        openapi_extra=request_schema(Event),
    )
    async def webhook(
        request: Request, event: Annotated[Event, Depends(json_body(Event))]
    ) -> Stored:
        """Store what an annotator chose, as a correction; other events change nothing."""
        if event.action == "START_TRAINING":
            what = "Training starts with `rasd retrain --from-feedback URL`."
            raise ProblemError(422, "no-training", what)
        if event.action not in _ANNOTATED:
            return Stored(stored=0)
        try:
            decision = _decision(event, pool.manifest.scheme)
            if decision is None:
                return Stored(stored=0)
            correction = NewCorrection(
                text=decision.text,
                label=decision.label,
                annotator=decision.annotator or "",
                caller=request.state.caller or "",
                **await _answer(request, scorer, decision.text),
            )
            await run_in_threadpool(save, store, correction)
        except ProblemError as problem:
            # Label Studio tells nobody.
            log.warning("annotation not stored", extra={"reason": problem.detail})
            raise
        return Stored(stored=1)

    return routes


def _decision(event: Event, scheme: LabelScheme) -> Decision | None:
    """Return what an annotator chose; None for a task that was skipped."""
    found = checked(_Annotated, event.model_dump())
    control = control_of(found.project.label_config, scheme)
    chosen = control.chosen(found.annotation.result)
    if found.annotation.was_cancelled or not chosen:
        return None
    if len(chosen) > 1:
        raise ProblemError(422, "invalid", f"The text has {len(chosen)} labels; choose one.")
    check_label("annotation.result", chosen[0], scheme.names)
    who = found.annotation.completed_by
    values = {
        "text": control.text(found.task.data),
        "label": chosen[0],
        "annotator": None if who is None else f"label-studio-{who}",
    }
    return checked(Decision, values)


async def _answer(request: Request, scorer: Scorer, text: str) -> dict[str, Any]:
    """Return the model's answer for a text; empty names if there is none in time."""
    try:
        async with asyncio.timeout(_PATIENCE):
            scored = await scorer.score(request, "sentences", "task", [text])
    except (ProblemError, TimeoutError):
        return {"predicted": "", "model": ""}
    (record,) = from_json(scored.body)["sentences"]
    return {
        "predicted": record["label"] or "",
        "model": scored.model,
        "probabilities": record["probabilities"] or None,
    }
