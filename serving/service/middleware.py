"""What every request passes before its route: its log and metrics, its key, its body, its turn.

They are plain ASGI, from the outside in: Observe, Gate, Intake. Each refuses by raising
ProblemError, which Observe answers.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.config import LOOPBACK, LimitsConfig
from serving.service.http_problems import ProblemError, busy, problem_response
from serving.service.keys import Keyring, RateLimit, presented
from serving.service.metrics import Metrics

# To be read without a key: probes, and the page, which asks for the key itself.
OPEN = ("/", "/livez", "/readyz")
OPEN_PREFIX = "/page/"
# Bodies that may be held in memory at once, in multiples of the largest.
BODIES = 32

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET = ("/livez", "/readyz", "/metrics")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

log = logging.getLogger("rasd.requests")


class ClientGoneError(Exception):
    """The client has left: there is nobody to answer."""


class Observe:
    """Gives a request its id, counts and logs it, and answers what went wrong as a problem."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        paths: Collection[str],
        model: Callable[[], str],
    ) -> None:
        """Take the paths that are counted by name, and what the current model is called."""
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
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                if model := self._model():
                    headers.setdefault("X-Model", model)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["method"] == "POST" and not state["body_read"]:
                    headers["Connection"] = "close"  # what is left of the body is not wanted
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, observed)
            except ClientGoneError:
                status = 499
            except Exception as error:
                if not isinstance(error, ProblemError):
                    log.exception("failed", extra={"request_id": request_id})
                    error = ProblemError(500, "failed", "The service failed; its log says why.")
                if status:
                    raise  # too late to say anything else
                await problem_response(error, request_id)(scope, receive, observed)
            finally:
                self._record(scope, status, time.monotonic() - started)

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
                "client": (scope.get("client") or ("",))[0],
                "sentences": state.get("sentences"),
                "model": state.get("model"),
            },
        )


class Gate:
    """Lets through who has a key, as often as it may."""

    def __init__(
        self, app: ASGIApp, *, keys: Keyring, rate: RateLimit | None, local_only: bool
    ) -> None:
        """Take the keys; `local_only` refuses requests that came by another host's name.

        That is how a web page that someone visits would reach a service on their own machine.
        """
        self._app = app
        self._keys = keys
        self._rate = rate
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one request, or refuse it."""
        if scope["type"] == "http":
            self._check(scope)
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        if self._local_only and _hostname(scope) not in ("", *LOOPBACK):
            raise ProblemError(
                421,
                "other-host",
                "Without API keys the service answers to localhost only; "
                "configure keys, or start it with --insecure.",
            )
        path = scope["path"]
        is_open = path in OPEN or path.startswith(OPEN_PREFIX)
        if not self._keys or (is_open and scope["method"] in ("GET", "HEAD")):
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
        if self._rate and scope["method"] == "POST" and (wait := self._rate.wait(name)):
            raise ProblemError(
                429,
                "too-often",
                f"The key {name} has used up its requests; it may make one in {wait:.1f} s.",
                headers={"Retry-After": str(int(wait) + 1)},
            )


class Intake:
    """Reads a body whole, within its limits, and gives a scoring request one of the places."""

    def __init__(self, app: ASGIApp, *, limits: LimitsConfig, scoring: Collection[str]) -> None:
        """Take the limits, and the paths of the routes that need a worker."""
        self._app = app
        self._limits = limits
        self._scoring = scoring
        self._taken = 0
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one request with its body, or refuse it."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        try:
            await self._read(scope, receive, chunks)
            await self._with_place(scope, _replayed(b"".join(chunks), receive), send)
        finally:
            self._held -= sum(map(len, chunks))

    async def _with_place(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in self._scoring:
            await self._app(scope, receive, send)
            return
        if self._taken >= self._limits.in_flight:
            raise busy(f"{self._taken} requests are waiting already.")
        self._taken += 1
        has_place = True

        def leave() -> None:
            nonlocal has_place
            self._taken -= has_place
            has_place = False

        async def leaving(message: Message) -> None:
            leave()  # whoever reads the answer slowly takes no place
            await send(message)

        try:
            await self._app(scope, receive, leaving)
        finally:
            leave()

    async def _read(self, scope: Scope, receive: Receive, chunks: list[bytes]) -> None:
        """Add the body to `chunks`, and to the bytes that are held."""
        limit = self._limits.body_bytes
        too_large = ProblemError(
            413, "too-large", f"The body is larger than {limit:,} bytes; send several requests."
        )
        length = Headers(scope=scope).get("content-length", "")
        if length.isdigit() and (len(length) > 20 or int(length) > limit):
            raise too_large
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    chunk = message.get("body", b"")
                    more = message.get("more_body", False)
                    size += len(chunk)
                    if size > limit:
                        raise too_large
                    if self._held + len(chunk) > BODIES * limit:
                        raise busy("Too many large requests are being answered.")
                    chunks.append(chunk)
                    self._held += len(chunk)
        except TimeoutError:
            raise ProblemError(
                408, "slow", f"The body took longer than {self._limits.body_seconds:g} s to arrive."
            ) from None
        scope["state"]["body_read"] = True


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that tells the whole body first."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _hostname(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
