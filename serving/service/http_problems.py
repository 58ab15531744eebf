"""HTTP errors in the form of RFC 9457, as `application/problem+json`, and those used often."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
_REASONS = {
    400: "The body is not JSON, or not what its Content-Encoding says.",
    401: "The API key is missing or unknown.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The Content-Type is not JSON, or the Content-Encoding is not gzip.",
    422: "A field is wrong, or there are too many sentences.",
    429: "The key has used up its rate limit.",
    503: "The service or its database cannot answer now; try again.",
    504: "The answer was not ready in time.",
    507: "There is no room left for corrections.",
}


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


def last_answer(problem: ProblemError, request_id: str) -> bytes:
    """Return the answer for a problem as it is sent, when the connection closes after it."""
    answer = problem_response(problem, request_id)
    own = {b"x-request-id": request_id.encode(), b"connection": b"close"}
    fields = (b"%b: %b\r\n" % field for field in (*answer.raw_headers, *own.items()))
    status = f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\n"
    return b"%b%b\r\n%b" % (status.encode(), b"".join(fields), bytes(answer.body))


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the errors that a route answers."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _REASONS[status], "content": content} for status in statuses}


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
