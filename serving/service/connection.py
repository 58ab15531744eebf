"""One HTTP connection, guarded: nothing incomplete lasts, and nothing grows without bound.

uvicorn's httptools protocol bounds neither the time nor the memory of a connection. What it lets
through is stopped here, and only here:

- Only idle connections have a deadline; any byte ends it for good (uvicorn #1192), and a reset
  does not, so the timer keeps the request's headers in memory. Here every stage has a deadline.
- Headers and trailers are not limited (uvicorn #157 does so for h11 only). Here they are counted.
- A request with `Upgrade` loses its body, which is then parsed as the next request (uvicorn #2722,
  httptools #124). Here the upgrade is ignored, as RFC 9110 allows.
- Pipelined requests are queued without limit. Here a connection has one request at a time, and
  little of the next one. If more comes before the answer, the connection closes after it, which
  tells the client to send the rest again (RFC 9112, 9.3.2).
- Answers wait for their readers for ever. Here they have a deadline and a bound for all together.
- A connection that is closed while its client sends is reset, and the answer is lost. Here it is
  closed in order: the answer, its end, and then what still comes is read and dropped.
"""

import asyncio
import logging
import uuid
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.service.http_problems import ProblemError, last_answer

# The header and trailer fields of one request, and the bytes between two pieces of its body.
MAX_FIELDS = 128
MAX_BYTES = 64 * 1024
# Bytes of answers that may wait for their readers, all connections together.
MAX_UNSENT = 64 * 2**20
# Seconds that a connection may stay open between two requests.
KEEP_ALIVE = 30.0
# Seconds beyond the deadlines that the app keeps itself, so that its answer comes first.
GRACE = 5.0

_TOO_MUCH = ProblemError(
    431,
    "headers-too-large",
    f"A request may have {MAX_FIELDS} header fields of {MAX_BYTES // 1024} KiB together.",
)

log = logging.getLogger("rasd.connections")


class Stage(Enum):
    """Who is waited for: IDLE and RECEIVING wait for the client, ANSWERING for the app.

    DROPPING reads what a client still sends after its answer, until it closes.
    """

    IDLE = auto()
    RECEIVING = auto()
    ANSWERING = auto()
    DROPPING = auto()


class Connections:
    """What all connections share: their limits, and which of them could be given up."""

    def __init__(self, *, most: int, request_seconds: float, answer_seconds: float) -> None:
        """Take the most connections, and the seconds for a request and for its answer."""
        self.most = most
        self.request_seconds = request_seconds
        self.answer_seconds = answer_seconds
        # Those that wait for their client, and those whose answer is not read; oldest first.
        self.waiting: dict[GuardedProtocol, None] = {}
        self.unread: dict[GuardedProtocol, None] = {}

    def protocol(self, *arguments: Any, **options: Any) -> "GuardedProtocol":
        """Return the protocol of a new connection, as uvicorn asks for it."""
        return GuardedProtocol(self, *arguments, **options)

    def make_room(self, open_now: int) -> None:
        """Give up the connection that has waited longest for its client if there are too many."""
        if open_now > self.most and self.waiting:
            oldest = next(iter(self.waiting))
            del self.waiting[oldest]
            oldest.transport.abort()

    def shed_unread(self, newest: "GuardedProtocol") -> None:
        """Give up the answers that are unread for longest until the others fit."""
        sizes = {other: other.transport.get_write_buffer_size() for other in self.unread}
        total = sum(sizes.values())
        for other, size in sizes.items():
            if total <= MAX_UNSENT or other is newest:
                break
            other.transport.abort()
            total -= size


class RefusedError(Exception):
    """Ends the parsing of a request: it has too many fields, or came before its turn."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, shared: Connections, *arguments: Any, **options: Any) -> None:
        """Take what connections share, then what uvicorn gives."""
        super().__init__(*arguments, **options)
        self._shared = shared
        self._stage = Stage.RECEIVING
        self._deadline: asyncio.TimerHandle | None = None
        self._read_by: asyncio.TimerHandle | None = None
        self._fields = 0
        self._field_bytes = 0
        self._bytes_since_body = 0
        # What came before the answer to the last request; None: too much did.
        self._early: bytes | None = b""
        # How the body of a request with Upgrade is framed, until its own parser reads it.
        self._framing: list[tuple[bytes, bytes]] = []

    # --- The transport's side ------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request, and make room for it."""
        super().connection_made(transport)
        self._shared.make_room(len(self.connections))
        self._wait(Stage.RECEIVING, self._shared.request_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything, also after a reset."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.resume_writing()
        if self._deadline:
            self._deadline.cancel()
        self._shared.waiting.pop(self, None)
        # Nothing may keep a lost connection's headers and body in memory.
        self.cycle = self.scope = self.headers = None  # type: ignore[assignment]
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what comes, in its turn and within the limits."""
        if self._stage is Stage.ANSWERING:
            self._keep_early(data)
            return
        if self._stage is Stage.DROPPING:
            return
        if self._stage is Stage.IDLE:
            self.cycle = None  # type: ignore[assignment]  # until the headers are complete
            self._wait(Stage.RECEIVING, self._shared.request_seconds)
        self._bytes_since_body += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            if self._answering:
                self._refuse_early()
            elif isinstance(error.__context__, RefusedError):
                self._reject(_TOO_MUCH)
            else:
                self._reject(ProblemError(400, "not-http", f"This is not HTTP: {error}."))
        if self._bytes_since_body > MAX_BYTES and not self._answering:
            self._reject(_TOO_MUCH)

    def pause_writing(self) -> None:
        """Give the client a deadline for reading, and shed what too many do not read."""
        super().pause_writing()
        if self._read_by is None:
            self._read_by = self.loop.call_later(self._shared.answer_seconds, self.transport.abort)
            self._shared.unread[self] = None
            self._shared.shed_unread(self)

    def resume_writing(self) -> None:
        """End the deadline for reading."""
        super().resume_writing()
        if self._read_by:
            self._read_by.cancel()
            self._read_by = None
            self._shared.unread.pop(self, None)

    # --- The parser's side ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin to count; refuse a request that is not next."""
        if self._stage is Stage.ANSWERING:
            raise RefusedError  # pipelined
        super().on_message_begin()
        self._fields = self._field_bytes = self._bytes_since_body = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count header and trailer fields; trailers are not kept."""
        self._fields += 1
        self._field_bytes += len(name) + len(value)
        if self._fields > MAX_FIELDS or self._field_bytes > MAX_BYTES:
            raise RefusedError
        if self.cycle is None:  # else it is a trailer
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Wait for the rest of the request, and let its answer close the connection in order."""
        super().on_headers_complete()
        self.cycle.transport = SimpleNamespace(  # type: ignore[assignment]
            write=self.transport.write, is_closing=self.transport.is_closing, close=self._finish
        )
        if self.parser.should_upgrade():
            self._framing = [
                field
                for field in self.headers
                if field[0] in (b"content-length", b"transfer-encoding")
            ]
        self._wait(Stage.RECEIVING, self._shared.request_seconds + GRACE)

    def on_body(self, body: bytes) -> None:
        """Restart the count after each piece of the body."""
        self._bytes_since_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the answer, or for the next request if it is answered already."""
        if self._framing:
            return  # the parser ends a request with Upgrade at its headers
        super().on_message_complete()
        if self.cycle.response_complete:
            self._wait(Stage.IDLE, KEEP_ALIVE)
        else:
            self._wait(Stage.ANSWERING, self._shared.answer_seconds + GRACE)

    def on_response_complete(self) -> None:
        """Wait for the next request, unless a part of this one is still to come."""
        super().on_response_complete()
        self._unset_keepalive_if_required()
        if self._stage is Stage.ANSWERING and not self.transport.is_closing():
            self._wait(Stage.IDLE, KEEP_ALIVE)
            early, self._early = self._early, b""
            if early:
                self.data_received(early)

    # --- Ours ----------------------------------------------------------------------------------

    def _wait(self, stage: Stage, seconds: float) -> None:
        """Enter a stage, which must end in time."""
        self._stage = stage
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._give_up)
        self._shared.waiting.pop(self, None)
        if stage is not Stage.ANSWERING:
            self._shared.waiting[self] = None

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            framing, self._framing = self._framing, []
            if framing:
                # Another parser, told nothing but the framing, reads the body. Its connection
                # closes after the answer.
                self.cycle.keep_alive = False
                body = SimpleNamespace(
                    on_body=self.on_body, on_message_complete=self.on_message_complete
                )
                self.parser = httptools.HttpRequestParser(body)
                fields = b"".join(b"%b: %b\r\n" % field for field in framing)
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % fields)
            else:
                self.parser = httptools.HttpRequestParser(self)
            if rest := data[upgrade.args[0] :]:
                self._parse(rest)

    @property
    def _answering(self) -> bool:
        return self._stage is Stage.ANSWERING

    def _keep_early(self, data: bytes) -> None:
        """Keep the beginning of the next request until it is its turn."""
        if self._early is not None:
            self._early += data
            if len(self._early) > MAX_BYTES:
                self._refuse_early()

    def _refuse_early(self) -> None:
        """Read nothing more; the client will ask again on another connection."""
        self._early = None
        self.cycle.keep_alive = False

    def _reject(self, problem: ProblemError) -> None:
        """Answer what the parser cannot or must not read, and close."""
        request_id = uuid.uuid4().hex
        log.warning("not read", extra={"request_id": request_id, "reason": problem.detail})
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the app waits for its body no longer
            self.cycle.message_event.set()
        if not (self.cycle and self.cycle.response_started):
            self.transport.write(last_answer(problem, request_id))
        self._finish()

    def _finish(self) -> None:
        """Close after what is written; read first what the client still sends."""
        if self._stage is Stage.RECEIVING:
            self._wait(Stage.DROPPING, self._shared.request_seconds)
            self.transport.write_eof()
            self.flow.resume_reading()
        elif not self.transport.is_closing():
            self.transport.close()
            self._wait(Stage.DROPPING, self._shared.answer_seconds)
