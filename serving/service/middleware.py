"""What every request passes before its route, from the outside in: Observe, Gate, Intake.

They are plain ASGI. Observe logs, counts and answers errors; Gate checks the key and its rate;
Intake reads the body and limits the requests in flight. Each rejects a request by raising
ProblemError, which Observe answers.
"""

import asyncio
import logging
import re
import time
import uuid
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.config import LOOPBACK, LimitsConfig
from serving.service.http_problems import ProblemError, busy, failed, problem_response
from serving.service.keys import Keyring, RateLimit, presented
from serving.service.metrics import Metrics

# Open without a key: probes, and the page, which asks for the key itself.
OPEN = ("/", "/livez", "/readyz")
OPEN_PREFIX = "/page/"
# The memory for all request bodies together, in multiples of the largest body allowed.
BODIES = 32
# Bytes that are decompressed at a time.
PIECE = 64 * 1024

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
    """The client has closed the connection: nobody waits for an answer."""


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
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                if model := self._model():
                    headers.setdefault("X-Model", model)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["method"] == "POST" and not state["body_read"]:
                    headers["Connection"] = "close"  # the rest of the body is not read
            await send(message)

        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(inner, receive, observed)
            except ClientGoneError:
                status = 499
            except Exception as error:
                if not isinstance(error, ProblemError):
                    log.exception("failed", extra={"request_id": request_id})
                    error = failed()
                if status:
                    raise  # too late for another answer
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
    """Lets requests through that have a key, up to the rate limit of the key."""

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
        if self._local_only and _hostname(scope) not in ("", *LOOPBACK):
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
        if self._rate and scope["method"] == "POST" and (wait := self._rate.wait(name)):
            raise ProblemError(
                429,
                "too-often",
                f"The key {name} has used up its rate limit; try again in {wait:.1f} s.",
                headers={"Retry-After": str(int(wait) + 1)},
            )


class Intake:
    """Reads a body whole, within its limits, and limits the scoring requests in flight."""

    def __init__(self, app: ASGIApp, *, limits: LimitsConfig, scoring: Collection[str]) -> None:
        """Take the limits, and the paths of the routes that need a worker."""
        self._app = app
        self._limits = limits
        self._scoring = scoring
        self._in_flight = 0
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on with its body, or reject it."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self._app(scope, receive, send)
            return
        chunks: list[bytes] = []
        try:
            await self._read(scope, receive, chunks)
            replayed = _replayed(b"".join(chunks), receive)
            if scope["path"] in self._scoring:
                await self._score(scope, receive, replayed, send)
            else:
                await self._app(scope, replayed, send)
        finally:
            self._held -= sum(map(len, chunks))

    async def _score(self, scope: Scope, receive: Receive, replayed: Receive, send: Send) -> None:
        """Pass a scoring request on if there is room, and cancel it when its client leaves."""
        if self._in_flight >= self._limits.in_flight:
            raise busy(f"{self._in_flight} requests are in flight already.")
        self._in_flight += 1
        answering = False

        async def observed(message: Message) -> None:
            nonlocal answering
            if not answering:
                answering = True  # a client that reads its answer slowly takes no room
                self._in_flight -= 1
            await send(message)

        work = asyncio.ensure_future(self._app(scope, replayed, observed))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and not answering:
                raise ClientGoneError
            await work
        finally:
            for task in (work, gone):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task
            if not answering:
                self._in_flight -= 1

    async def _read(self, scope: Scope, receive: Receive, chunks: list[bytes]) -> None:
        """Add the decompressed body to `chunks`, and to the bytes that are held."""
        limit = self._limits.body_bytes
        too_large = ProblemError(
            413, "too-large", f"The body is larger than {limit:,} bytes; send several requests."
        )
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdigit() and (len(length) > 20 or int(length) > limit):
            raise too_large
        body = _decoder(headers.get("content-encoding", ""))
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    more = message.get("more_body", False)
                    for chunk in body.decoded(message.get("body", b""), last=not more):
                        size += len(chunk)
                        if size > limit:
                            raise too_large
                        if self._held + len(chunk) > BODIES * limit:
                            raise busy("Too many large requests are in flight.")
                        chunks.append(chunk)
                        self._held += len(chunk)
        except TimeoutError:
            raise ProblemError(
                408, "slow", f"The body took longer than {self._limits.body_seconds:g} s to arrive."
            ) from None
        scope["state"]["body_read"] = True


class _Identity:
    """A body that is not compressed."""

    def decoded(self, data: bytes, *, last: bool) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the data."""
        yield data


class _Gzip:
    """A body that is one gzip stream, decompressed piece by piece: a bomb stops at the limit."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def decoded(self, data: bytes, *, last: bool) -> Iterator[bytes]:
        """Yield pieces of at most PIECE bytes; raise ProblemError if this is not gzip."""
        try:
            while data and not self._stream.eof:
                yield self._stream.decompress(data, PIECE)
                data = self._stream.unconsumed_tail
        except zlib.error:
            raise _broken_gzip() from None
        if self._stream.unused_data or data or (last and not self._stream.eof):
            raise _broken_gzip()


def _decoder(encoding: str) -> _Identity | _Gzip:
    """Return the decoder of a Content-Encoding; raise ProblemError for an unknown one."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return _Identity()
    if name in ("gzip", "x-gzip"):
        return _Gzip()
    raise ProblemError(
        415,
        "unknown-encoding",
        f"The content encoding is {name[:100]!r}; send gzip, or no encoding.",
        headers={"Accept-Encoding": "gzip"},
    )


def _broken_gzip() -> ProblemError:
    return ProblemError(400, "broken-gzip", "The body is not one whole gzip stream.")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body first."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _hostname(scope: Scope) -> str:
    host = Headers(scope=scope).get("host", "").lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
