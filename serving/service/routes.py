"""The routes: a request to work for the pool, and the pool's answer to a response."""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from serving.bundle import Manifest
from serving.service.bodies import json_body, request_schema
from serving.service.config import LimitsConfig
from serving.service.follower import Follower
from serving.service.http_problems import MEDIA_TYPE, ProblemError
from serving.service.messages import Refused, Scored, Work
from serving.service.metrics import Metrics
from serving.service.middleware import ClientGoneError
from serving.service.pool import BrokenRequestError, DeadlineError, Pool, WorkerLostError
from serving.service.schemas import (
    ClassifyRequest,
    DocumentsAnswer,
    Health,
    LabelOut,
    LimitsOut,
    ModelAnswer,
    PredictRequest,
    Problem,
    Score,
    SentencesAnswer,
    Unreadable,
)

SCORING = ("/v1/classify", "/predict", "/")

_ARTICLE = "نفت الوزارة صحة الأنباء. وتبنت الجماعة الهجوم على الثكنة."
_SENTENCES = ["نفت الوزارة صحة الأنباء.", "وتبنت الجماعة الهجوم على الثكنة."]
_CLASSIFY_EXAMPLES = {
    "documents": {"documents": [{"id": "article-1", "text": _ARTICLE}]},
    "sentences": {"sentences": _SENTENCES},
}
_PREDICT_EXAMPLES = {
    "one": {"inputs": _SENTENCES[0]},
    "several": {"inputs": _SENTENCES, "parameters": {"top_k": 1}},
}

_REASONS = {
    400: "The body is not JSON.",
    401: "The API key is missing or unknown.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "A field is wrong, or there are too many sentences.",
    429: "The key has used up its requests for now.",
    503: "Too many requests are waiting, or no worker is there.",
    504: "The answer was not ready in time.",
}

T = TypeVar("T")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the errors that a route answers."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"description": _REASONS[status], "content": content} for status in statuses}


_SCORING_PROBLEMS = problems(*_REASONS)


def scoring_router(pool: Pool, metrics: Metrics, limits: LimitsConfig) -> APIRouter:
    """Return the routes that score."""
    router = APIRouter(tags=["labels"])

    async def scored(request: Request, work: Work) -> Response:
        answer = await _until_gone(request, _answer(request, pool, metrics, work))
        return Response(
            answer.body, media_type="application/json", headers={"X-Model": answer.model}
        )

    def deadline(request: Request) -> float:
        return float(request.state.arrival) + limits.deadline_seconds

    def within(number: int, field: str) -> None:
        if number > limits.sentences:
            message = f"{number:,} given; a request may have {limits.sentences:,}"
            raise ProblemError(
                422,
                "too-many",
                f"{field}: {message}.",
                errors=[{"field": field, "message": message}],
            )

    @router.post(
        "/v1/classify",
        summary="Label the sentences of documents, or sentences as they are",
        response_model=DocumentsAnswer | SentencesAnswer,
        responses=_SCORING_PROBLEMS,
        openapi_extra=request_schema(ClassifyRequest, _CLASSIFY_EXAMPLES),
    )
    async def classify(
        request: Request, body: Annotated[ClassifyRequest, Depends(json_body(ClassifyRequest))]
    ) -> Response:
        """Return one record a sentence, grouped by document where documents were given.

        A sentence without a letter or digit has an `error`; its neighbours are answered.
        """
        if body.sentences is not None:
            texts = body.sentences
            within(len(texts), "sentences")
            ids = tuple(map(str, range(len(texts))))
            work = Work("sentences", ids, tuple(texts), deadline(request))
        else:
            documents = body.documents or []
            within(len(documents), "documents")
            ids = tuple(str(n) if d.id is None else d.id for n, d in enumerate(documents))
            work = Work("documents", ids, tuple(d.text for d in documents), deadline(request))
        return await scored(request, work)

    # Hugging Face's client posts to the very URL that it is given.
    @router.post("/", include_in_schema=False)
    @router.post(
        "/predict",
        summary="The same in Hugging Face's form",
        response_model=list[list[Score] | Unreadable],
        responses=_SCORING_PROBLEMS,
        openapi_extra=request_schema(PredictRequest, _PREDICT_EXAMPLES),
    )
    async def predict(
        request: Request, body: Annotated[PredictRequest, Depends(json_body(PredictRequest))]
    ) -> Response:
        """Return the labels and scores of each text, the best first.

        `huggingface_hub.InferenceClient(model=URL).text_classification(...)` speaks this. Texts
        are scored as single sentences.
        """
        texts = body.inputs
        within(len(texts), "inputs")
        top_k = body.parameters.top_k if body.parameters else None
        ids = tuple(map(str, range(len(texts))))
        return await scored(request, Work("predict", ids, tuple(texts), deadline(request), top_k))

    return router


def status_router(
    pool: Pool, metrics: Metrics, limits: LimitsConfig, *, follower: Follower | None
) -> APIRouter:
    """Return the routes that tell how the service is."""
    router = APIRouter(tags=["service"])

    @router.get("/livez", summary="Whether the process answers", response_model_exclude_unset=True)
    async def livez() -> Health:
        """Be 200 as long as anything works; restart the service when this fails."""
        return Health(ok=True, model=pool.model or None)

    @router.get(
        "/readyz",
        summary="Whether to send requests",
        responses={503: {"model": Health}},
        response_model_exclude_unset=True,
    )
    async def readyz(response: Response) -> Health:
        """Be 503 until every worker has its model, and as soon as one is lost."""
        if not pool.ready:
            response.status_code = 503
        health = Health(ok=pool.ready, model=pool.model or None)
        return health.model_copy(update={"following": follower.alive}) if follower else health

    @router.get("/v1/model", summary="What is being served", responses=problems(401))
    async def model() -> ModelAnswer:
        """Return the model's labels, threshold and metrics, and what one request may hold."""
        return _described(pool.manifest, limits)

    @router.get(
        "/metrics",
        summary="For Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **problems(401)},
    )
    async def read_metrics() -> Response:
        """Return the metrics in Prometheus' text form."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


async def _answer(request: Request, pool: Pool, metrics: Metrics, work: Work) -> Scored:
    late = ProblemError(504, "late", "The answer was not ready at the request's deadline.")
    if work.deadline <= time.monotonic():
        raise late
    try:
        answer, job = await pool.score(work)
    except DeadlineError:
        raise late from None
    except WorkerLostError:
        raise ProblemError(
            503,
            "worker-lost",
            "The worker died over this request, and again when it was begun anew.",
            headers={"Retry-After": "5"},
        ) from None
    except BrokenRequestError:
        raise ProblemError(500, "failed", "The service failed; its log says why.") from None
    if isinstance(answer, Refused):
        if answer.why == "late":
            raise late
        raise ProblemError(422, answer.why.replace("_", "-"), answer.detail)
    metrics.count(answer.statistics, job.started - job.queued)
    request.state.sentences = answer.statistics.sentences
    request.state.model = answer.model
    return answer


async def _until_gone(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """Return what `answer` gives; cancel it and raise ClientGoneError when the client leaves."""
    work = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGoneError
        return await work
    finally:
        for task in (work, gone):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _described(manifest: Manifest, limits: LimitsConfig) -> ModelAnswer:
    return ModelAnswer(
        model=manifest.model,
        name=manifest.name,
        version=manifest.version,
        labels=[LabelOut(**label.model_dump()) for label in manifest.scheme.labels],
        threshold=manifest.threshold,
        max_length=manifest.max_length,
        normalizer=f"{manifest.normalizer.name} {manifest.normalizer.version}",
        metrics=manifest.metrics,
        limits=LimitsOut(sentences=limits.sentences, body_bytes=limits.body_bytes),
    )
