"""The routes: each turns a request into work for the pool, and its answer into a response."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from serving.bundle import Manifest
from serving.service.bodies import json_body, request_schema
from serving.service.config import LimitsConfig
from serving.service.follower import Follower
from serving.service.http_problems import problems
from serving.service.intake import Admission
from serving.service.messages import Scored
from serving.service.metrics import Metrics
from serving.service.pool import Pool
from serving.service.schemas import (
    ClassifyRequest,
    DocumentsAnswer,
    Health,
    LimitsOut,
    ModelAnswer,
    PredictRequest,
    Score,
    SentencesAnswer,
    Unreadable,
)
from serving.service.scoring import Scorer

SCORING = ("/v1/classify", "/predict", "/", "/labelstudio/predict")

_ARTICLE = "نفت الوزارة وقوع الهجوم. وتبنت الجماعة الهجوم على الثكنة."
_SENTENCES = ["نفت الوزارة وقوع الهجوم.", "وتبنت الجماعة الهجوم على الثكنة."]
_CLASSIFY_EXAMPLES = {
    "documents": {"documents": [{"id": "article-1", "text": _ARTICLE}]},
    "sentences": {"sentences": _SENTENCES},
}
_PREDICT_EXAMPLES = {
    "one": {"inputs": _SENTENCES[0]},
    "several": {"inputs": _SENTENCES, "parameters": {"top_k": 1}},
}

_SCORING_PROBLEMS = problems(400, 401, 408, 413, 415, 422, 429, 503, 504)


def scoring_router(scorer: Scorer) -> APIRouter:
    """Return the routes that label text."""
    router = APIRouter(tags=["labels"])

    def answered(scored: Scored) -> Response:
        headers = {"X-Model": scored.model}
        return Response(scored.body, media_type="application/json", headers=headers)

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
        """Return one record per sentence, grouped by document if documents were given.

        A sentence without a letter or digit, or a null text, has an `error`; the others are
        answered.
        """
        if body.sentences is not None:
            return answered(await scorer.score(request, "sentences", "sentences", body.sentences))
        documents = body.documents or []
        texts = [document.text for document in documents]
        ids = [str(n) if d.id is None else d.id for n, d in enumerate(documents)]
        return answered(await scorer.score(request, "documents", "documents", texts, ids=ids))

    # The Hugging Face client posts to exactly the URL that it is given.
    @router.post("/", include_in_schema=False)
    @router.post(
        "/predict",
        summary="The same in the Hugging Face form",
        response_model=list[list[Score] | Unreadable],
        responses=_SCORING_PROBLEMS,
        openapi_extra=request_schema(PredictRequest, _PREDICT_EXAMPLES),
    )
    async def predict(
        request: Request, body: Annotated[PredictRequest, Depends(json_body(PredictRequest))]
    ) -> Response:
        """Return the labels and scores of each text, best first.

        Compatible with `huggingface_hub.InferenceClient(model=URL).text_classification(...)`. Each
        text is scored as one sentence.
        """
        top_k = body.parameters.top_k if body.parameters else None
        return answered(await scorer.score(request, "predict", "inputs", body.inputs, top_k=top_k))

    return router


def status_router(
    pool: Pool, metrics: Metrics, admission: Admission, *, follower: Follower | None
) -> APIRouter:
    """Return the routes about the service itself."""
    router = APIRouter(tags=["service"])

    @router.get("/livez", summary="Is the process alive?", response_model_exclude_unset=True)
    async def livez() -> Health:
        """Answer 200 while the process runs; restart the service if this fails."""
        return Health(ok=True, model=pool.model or None)

    @router.get(
        "/readyz",
        summary="Is the service ready for requests?",
        responses={503: {"model": Health}},
        response_model_exclude_unset=True,
    )
    async def readyz(response: Response) -> Health:
        """Answer 503 until every worker has its model, when one has died, and under overload."""
        ok = pool.ready and not admission.shut
        if not ok:
            response.status_code = 503
            response.headers["Retry-After"] = "1"
        health = Health(ok=ok, model=pool.model or None)
        return health.model_copy(update={"following": follower.alive}) if follower else health

    @router.get("/v1/model", summary="The model being served", responses=problems(401))
    async def model() -> ModelAnswer:
        """Return the model's labels, threshold and metrics, and what one request may hold."""
        return _described(pool.manifest, admission.limits)

    @router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **problems(401)},
    )
    async def read_metrics() -> Response:
        """Return the metrics in Prometheus' text form."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _described(manifest: Manifest, limits: LimitsConfig) -> ModelAnswer:
    return ModelAnswer(
        model=manifest.model,
        name=manifest.name,
        version=manifest.version,
        labels=manifest.scheme.labels,
        threshold=manifest.threshold,
        max_length=manifest.max_length,
        normalizer=f"{manifest.normalizer.name} {manifest.normalizer.version}",
        metrics=manifest.metrics,
        limits=LimitsOut(sentences=limits.sentences, body_bytes=limits.body_bytes),
    )
