"""Label Studio's machine learning backend: a project is checked, its tasks get predictions.

Label Studio calls /health and /setup when the backend is connected and before every /predict. It
repeats no call that fails, and shows its users no more than the status.
"""

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from serving.errors import InputError
from serving.label_studio import Control, read_configuration
from serving.labels import LabelScheme
from serving.service.bodies import json_body, request_schema
from serving.service.http_problems import ProblemError, busy, problems
from serving.service.pool import Pool
from serving.service.scoring import Scorer

PREFIX = "/labelstudio"
TAG = "label studio"

log = logging.getLogger("rasd.label_studio")


class Sent(BaseModel):
    """What Label Studio sends: it has many fields that do not matter here."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Setup(Sent):
    """The project that the backend is connected to."""

    configuration: str = Field(alias="schema", description="the labelling configuration, XML")


class LabelTask(Sent):
    """One text to label, under a key of `data`."""

    data: dict[str, Any]


class Tasks(Sent):
    """The tasks that need predictions."""

    tasks: list[LabelTask]
    label_config: str = Field(description="the labelling configuration, XML")


class Up(BaseModel):
    """The backend can answer."""

    status: str = "UP"
    model_class: str = "rasd"


class Version(BaseModel):
    """The model that predicts."""

    model_version: str


class TaskPrediction(BaseModel):
    """The label of one task, and its probability; no result if the text cannot be labelled."""

    result: list[dict[str, Any]]
    score: float | None
    model_version: str


class Predictions(BaseModel):
    """One prediction for each task, in their order."""

    results: list[TaskPrediction]
    model_version: str


def router(pool: Pool, scorer: Scorer) -> APIRouter:
    """Return the routes of the backend."""
    routes = APIRouter(prefix=PREFIX, tags=[TAG])

    @routes.get("/health", summary="Can the backend answer?", responses=problems(401, 503))
    async def health() -> Up:
        """Answer 503 until every worker has its model."""
        if not pool.ready:
            raise busy("The model is being loaded.")
        return Up()

    @routes.post(
        "/setup",
        summary="Check a project's labelling configuration",
        responses=problems(400, 401, 408, 413, 415, 422, 429),
        openapi_extra=request_schema(Setup),
    )
    async def check(setup: Annotated[Setup, Depends(json_body(Setup))]) -> Version:
        """Reject a project that does not ask for the model's labels. Nothing is kept of it."""
        control_of(setup.configuration, pool.manifest.scheme)
        return Version(model_version=pool.manifest.model)

    @routes.post(
        "/predict",
        summary="Predict the labels of tasks",
        responses=problems(400, 401, 408, 413, 415, 422, 429, 503, 504),
        openapi_extra=request_schema(Tasks),
    )
    async def predict(
        request: Request, body: Annotated[Tasks, Depends(json_body(Tasks))]
    ) -> Predictions:
        """Score the text of each task as one sentence."""
        control = control_of(body.label_config, pool.manifest.scheme)
        texts = [control.text(task.data) for task in body.tasks]
        scored = await scorer.score(request, "sentences", "tasks", texts)
        results = [
            TaskPrediction(
                result=control.result(record["label"]) if record["label"] else [],
                score=record["probability"],
                model_version=scored.model,
            )
            for record in from_json(scored.body)["sentences"]
        ]
        return Predictions(results=results, model_version=scored.model)

    return routes


def control_of(configuration: str, scheme: LabelScheme) -> Control:
    """Return the control that asks for the label; raise ProblemError if a project has none."""
    try:
        return read_configuration(configuration, scheme)
    except InputError as error:
        log.warning("project refused", extra={"reason": str(error)})
        raise ProblemError(422, "invalid", f"{error.problem}. {error.remedy}") from error
