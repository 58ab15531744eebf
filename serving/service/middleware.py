"""What every request passes before its body is read, from the outside in: Observe, Gate.

They are plain ASGI. Observe logs, counts and answers errors; Gate checks the host, the key and its
rate. Behind them, Intake (`intake`) reads the body. Each rejects a request by raising ProblemError,
which Observe answers.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.config import is_loopback
from serving.service.http_problems import ProblemError, failed, problem_response, worker_lost
from serving.service.intake import ClientGoneError
from serving.service.keys import Keyring, RateLimit, presented
from serving.service.metrics import Metrics

# Open without a key: probes, and the page, which asks for the key itself.
OPEN = ("/", "/livez", "/readyz")
OPEN_PREFIX = "/page/"
# Methods that change nothing, which the rate limit does not count.
SAFE = ("GET", "HEAD", "OPTIONS")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = ("/livez", "/readyz", "/metrics")
# Headers of every answer that does not have its own.
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

log = logging.getLogger("rasd.requests")


class Observe:
    """Gives a request its id, counts and logs it, and answers errors as problem details.

    HEAD is answered like GET; the server sends the headers alone.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        paths: Collection[str],
        model: Callable[[], str],
    ) -> None:
        """Take the paths that are counted by name, and the name of the current model."""
        self._app = app
        self._metrics = metrics
        self._paths = paths
        self._model = model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state.update(request_id=request_id, arrival=started, caller=None, body_read=False)
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(message, request_id)
                if status == 307:
                    MutableHeaders(scope=message)["Location"] = _other_slash(scope["path"])
                if not state["body_read"] and _has_body(scope):
                    # The rest of the body is not read.
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(inner, receive, observed)
            except ClientGoneError:
                status = 499
            except asyncio.CancelledError:  # the server stops, and the request took too long
                if status:
                    raise
                problem = worker_lost("The service is stopping.")
                await problem_response(problem, request_id)(scope, receive, observed)
            except Exception as error:
                if not isinstance(error, ProblemError):
                    log.exception("failed", extra={"request_id": request_id})
                    error = failed()
                if status:
                    raise  # too late for another answer
                await problem_response(error, request_id)(scope, receive, observed)
            finally:
                self._record(scope, status, time.monotonic() - started)

    def _add_headers(self, message: Message, request_id: str) -> None:
        """Add the headers of every answer, in one pass: it is on the path of each request."""
        headers = list(message["headers"])
        present = {name for name, _ in headers}
        headers.append((b"x-request-id", request_id.encode()))
        model = self._model()
        if model and b"x-model" not in present:
            headers.append((b"x-model", model.encode()))
        headers += [field for field in _HEADERS if field[0] not in present]
        message["headers"] = headers

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._paths else "other"
        if scope["path"].startswith(OPEN_PREFIX):
            route = OPEN_PREFIX
        state = scope["state"]
        caller = state["caller"]
        self._metrics.requests.labels(route, str(status or 499), caller or "").inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if route in _QUIET and status in (200, 503):
            return
        log.info(
            "request",
            extra={
                "request_id": state["request_id"],
                "method": scope["method"],
                "route": route,
                "status": status or 499,
                "seconds": round(seconds, 4),
                "caller": caller,
                "client": _address((scope.get("client") or ("",))[0]),
                "sentences": state.get("sentences"),
                "model": state.get("model"),
            },
        )


class Gate:
    """Lets requests through that name one host and have a key, up to the key's rate limit."""

    def __init__(
        self, app: ASGIApp, *, keys: Keyring, rate: RateLimit | None, local_only: bool
    ) -> None:
        """Take the keys; `local_only` rejects requests whose Host is not loopback.

        Otherwise any web page could reach the service on its visitor's machine (DNS rebinding).
        """
        self._app = app
        self._keys = keys
        self._rate = rate
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or reject it."""
        if scope["type"] == "http":
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 and (hosts or scope["http_version"] == "1.1"):
            raise ProblemError(400, "no-single-host", f"Send one Host header, not {len(hosts)}.")
        if self._local_only and hosts and not is_loopback(_hostname(hosts[0])):
            raise ProblemError(
                421,
                "other-host",
                "Without API keys the service answers requests to localhost only; "
                "configure keys, or start it with --insecure.",
            )
        path = scope["path"]
        is_open = path in OPEN or path.startswith(OPEN_PREFIX)
        if not self._keys or (is_open and scope["method"] == "GET"):
            return
        key = presented(scope["headers"])
        name = self._keys.name_of(key) if key else None
        if name is None:
            raise ProblemError(
                401,
                "no-key" if key is None else "unknown-key",
                "Send an API key as Authorization: Bearer KEY or as X-API-Key: KEY.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        scope["state"]["caller"] = name
        if self._rate and scope["method"] not in SAFE and (wait := self._rate.wait(name)):
            raise ProblemError(
                429,
                "too-often",
                f"The key {name} has used up its rate limit; try again in {wait:.1f} s.",
                headers={"Retry-After": str(int(wait) + 1)},
            )


def _hostname(host: bytes) -> str:
    """Return a Host header without its port and without the brackets of an IPv6 address."""
    text = host.decode("latin-1").lower()
    return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]


def _other_slash(path: str) -> str:
    """Return a reference from a path to the same one without its last slash, or with one.

    It is relative: only a proxy in front knows its scheme and prefix. Starlette's own would lead
    a client from https, with its key, to http.
    """
    name = path.rstrip("/").rpartition("/")[2]
    return f"../{name}" if path.endswith("/") else f"{name}/"


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _address(client: str) -> str:
    """Return the client's address, which a proxy may have written: an address or nothing."""
    host, _, _ = client.partition("%")
    try:
        return str(ip_address(host))
    except ValueError:
        return ""
