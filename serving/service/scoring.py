"""A request to score: within its limits, through the pool, and counted."""

from collections.abc import Sequence
from typing import Literal

from fastapi import Request

from serving.service.config import LimitsConfig
from serving.service.http_problems import ProblemError, late
from serving.service.messages import Refused, Scored, Work
from serving.service.metrics import Metrics
from serving.service.pool import Pool


class Scorer:
    """Scores the texts of requests with the workers of a pool."""

    def __init__(self, pool: Pool, metrics: Metrics, limits: LimitsConfig) -> None:
        """Take the pool, and the limits of one request."""
        self._pool = pool
        self._metrics = metrics
        self._limits = limits

    async def score(
        self,
        request: Request,
        form: Literal["documents", "sentences", "predict"],
        field: str,
        texts: Sequence[str | None],
        *,
        ids: Sequence[str] | None = None,
        top_k: int | None = None,
    ) -> Scored:
        """Return a worker's answer to the texts of a request's `field`; raise ProblemError.

        Without `ids` the texts are numbered from 0.
        """
        if len(texts) > self._limits.sentences:
            message = f"{len(texts):,} given; a request may have {self._limits.sentences:,}"
            raise ProblemError(
                422,
                "too-many",
                f"{field}: {message}.",
                errors=[{"field": field, "message": message}],
            )
        names = map(str, range(len(texts))) if ids is None else ids
        deadline = float(request.state.arrival) + self._limits.deadline_seconds
        work = Work(form, tuple(names), tuple(texts), deadline, top_k)
        answer, queue_seconds = await self._pool.score(work)
        if isinstance(answer, Refused):
            if answer.why == "late":
                raise late()
            raise ProblemError(422, answer.why.replace("_", "-"), answer.detail)
        self._metrics.count(answer.statistics, queue_seconds)
        request.state.sentences = answer.statistics.sentences
        request.state.model = answer.model
        return answer
