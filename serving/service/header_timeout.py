"""Slow-client timeout for headers, for which uvicorn's HTTP protocol would wait for ever."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 * 1024


def guarded_protocol(header_seconds: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, which then closes connections with late or endless headers."""

    class GuardedProtocol(HttpToolsProtocol):
        """One connection; a timer runs from a request's start until its headers are complete."""

        _timer: asyncio.TimerHandle | None = None
        _header_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._begin()

        def on_headers_complete(self) -> None:
            self._end()
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._timer:  # the headers are not complete
                self._header_bytes += len(data)
                if self._header_bytes > MAX_HEADER_BYTES:
                    self.transport.close()

        def _begin(self) -> None:
            self._end()
            self._header_bytes = 0
            self._timer = self.loop.call_later(header_seconds, self.transport.close)

        def _end(self) -> None:
            if self._timer:
                self._timer.cancel()
                self._timer = None

    return GuardedProtocol
