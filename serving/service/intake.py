"""The innermost middleware: reads bodies within their limits and admits requests to the workers."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.service.config import LimitsConfig
from serving.service.content_encoding import Decoder
from serving.service.http_problems import ProblemError, busy
from serving.terminal import counted

# The memory for all request bodies together, in multiples of the largest body allowed.
BODIES = 32


class ClientGoneError(Exception):
    """The client has closed the connection: nobody waits for an answer."""


@dataclass(eq=False, slots=True)
class Body:
    """The body of one request, as far as it is read; without room it is dropped."""

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    dropped: bool = False
    deadline: asyncio.Timeout | None = None


class Admission:
    """What the requests of all clients may hold together: bodies, and places in flight."""

    def __init__(self, limits: LimitsConfig) -> None:
        """Take the limits; nothing is held yet."""
        self.limits = limits
        self.in_flight = 0
        self._room = BODIES * limits.body_bytes
        self._held = 0
        self._arriving: dict[Body, None] = {}  # oldest first

    @property
    def shut(self) -> bool:
        """Whether the next request might be refused: too many in flight, or too large ones."""
        full = self._held + self.limits.body_bytes > self._room
        return full or self.in_flight >= self.limits.in_flight

    def arrives(self, body: Body) -> None:
        """Count a body that begins to arrive."""
        self._arriving[body] = None

    def arrived(self, body: Body) -> None:
        """Keep a body that is complete, or has failed, until it is released."""
        self._arriving.pop(body, None)

    def hold(self, body: Body, chunk: bytes) -> None:
        """Add a chunk to a body; raise ProblemError if there is no room.

        Bodies that arrive slowly give way to it, the oldest first: an honest client's needs
        milliseconds, and a client that stalls keeps nobody else out.
        """
        while self._held + len(chunk) > self._room:
            oldest = next(iter(self._arriving), body)
            if oldest is body:
                raise busy("Too many large requests are in flight.")
            self._drop(oldest)
        body.chunks.append(chunk)
        body.size += len(chunk)
        self._held += len(chunk)

    def release(self, body: Body) -> None:
        """Forget a body's chunks."""
        self._arriving.pop(body, None)
        self._held -= body.size
        body.chunks.clear()
        body.size = 0

    def _drop(self, body: Body) -> None:
        self.release(body)
        body.dropped = True
        if body.deadline:
            body.deadline.reschedule(asyncio.get_running_loop().time())


class Intake:
    """Reads a body whole, within its limits, and limits the scoring requests in flight.

    Only POST requests to known routes have a body that is read. The others go on without theirs,
    and their answers close the connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        admission: Admission,
        bodies: Collection[str],
        scoring: Collection[str],
    ) -> None:
        """Take the paths of the routes with a body, and of those that need a worker."""
        self._app = app
        self._admission = admission
        self._limits = admission.limits
        self._bodies = bodies
        self._scoring = scoring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on with its body, or reject it."""
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or scope["path"] not in self._bodies
        ):
            await self._app(scope, receive, send)
            return
        body = Body()
        self._admission.arrives(body)
        try:
            await self._read(scope, receive, body)
            self._admission.arrived(body)
            replayed = _replayed(b"".join(body.chunks), receive)
            body.chunks.clear()
            if scope["path"] in self._scoring:
                await self._score(scope, receive, replayed, send)
            else:
                await self._app(scope, replayed, send)
        finally:
            self._admission.release(body)

    async def _score(self, scope: Scope, receive: Receive, replayed: Receive, send: Send) -> None:
        """Pass a scoring request on if there is room, and cancel it when its client leaves."""
        admission = self._admission
        if admission.in_flight >= self._limits.in_flight:
            raise busy(f"{counted(admission.in_flight, 'request')} already in flight.")
        admission.in_flight += 1
        answering = False

        async def observed(message: Message) -> None:
            nonlocal answering
            if not answering:
                answering = True  # a client that reads its answer slowly takes no room
                admission.in_flight -= 1
            await send(message)

        # The app runs in this task, and only who watches the client in another: a second task
        # for the app would cost each request 2 % of its time.
        this_task = asyncio.current_task()
        assert this_task
        left = over = False

        def leave(_: object) -> None:
            nonlocal left
            if not (answering or over):
                left = True
                this_task.cancel()

        gone = asyncio.ensure_future(_disconnected(receive))
        gone.add_done_callback(leave)
        try:
            await self._app(scope, replayed, observed)
        except asyncio.CancelledError:
            if left and not this_task.uncancel():
                raise ClientGoneError from None
            raise  # the server stops
        finally:
            over = True
            gone.cancel()
            if not answering:
                admission.in_flight -= 1

    async def _read(self, scope: Scope, receive: Receive, body: Body) -> None:
        """Add the decompressed body to `body`, which counts what is held."""
        limit = self._limits.body_bytes
        headers = Headers(scope=scope)
        length = headers.get("content-length", "")
        if length.isdigit() and (len(length) > 20 or int(length) > limit):
            raise _too_large(limit)
        decoder = Decoder(headers.get("content-encoding", ""))
        try:
            async with asyncio.timeout(self._limits.body_seconds) as body.deadline:
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    if body.dropped:
                        raise TimeoutError
                    more = message.get("more_body", False)
                    for chunk in decoder.decoded(message.get("body", b""), last=not more):
                        if body.size + len(chunk) > limit:
                            raise _too_large(limit)
                        self._admission.hold(body, chunk)
        except TimeoutError:
            if body.dropped:
                raise busy("Too many large requests are in flight, and this one is slow.") from None
            raise ProblemError(
                408, "slow", f"The body took longer than {self._limits.body_seconds:g} s to arrive."
            ) from None
        scope["state"]["body_read"] = True


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body first."""
    given = False

    async def replay() -> Message:
        nonlocal given, body
        if given:
            return await receive()
        given = True
        message = {"type": "http.request", "body": body, "more_body": False}
        body = b""
        return message

    return replay


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        413, "too-large", f"The body is larger than {limit:,} bytes; send several requests."
    )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
