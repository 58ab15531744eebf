"""HTTP errors in the form of RFC 9457, as `application/problem+json`, and those used often."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """An error that answers a request: `slug` names its kind, `detail` says what to fix.

    `errors` is a list of `{"field": "documents.3.text", "message": "…"}`.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Keep what the answer will say."""
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = list(errors)


def problem_response(problem: ProblemError, request_id: str) -> Response:
    """Return the answer for a problem."""
    body: dict[str, Any] = {
        "type": f"urn:rasd:{problem.slug}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return Response(
        json.dumps(body, ensure_ascii=False).encode(),
        problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def busy(detail: str) -> ProblemError:
    """Return the 503 for work that would have to wait too long."""
    return ProblemError(503, "busy", detail, headers={"Retry-After": "1"})


def late() -> ProblemError:
    """Return the 504 for a request whose deadline has passed."""
    return ProblemError(504, "late", "The answer was not ready at the request's deadline.")


def worker_lost(detail: str) -> ProblemError:
    """Return the 503 for a request that lost its worker."""
    return ProblemError(503, "worker-lost", detail, headers={"Retry-After": "5"})


def failed() -> ProblemError:
    """Return the 500 for an error of ours."""
    return ProblemError(500, "failed", "The service failed; see its log.")
