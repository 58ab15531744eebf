"""Compressed request bodies: decompressed as they arrive, never more than their reader asks for."""

import zlib
from collections.abc import Iterator

from serving.service.http_problems import ProblemError

# Bytes that are decompressed at a time.
PIECE = 64 * 1024


class Decoder:
    """The body of one request: not encoded, or one gzip stream.

    A bomb does no harm: its reader stops at the limit, and no more than PIECE is decompressed then.
    """

    def __init__(self, encoding: str) -> None:
        """Take the Content-Encoding; raise ProblemError for an unknown one."""
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip"):
            raise ProblemError(
                415,
                "unknown-encoding",
                f"The content encoding is {name[:100]!r}; send gzip, or no encoding.",
                headers={"Accept-Encoding": "gzip"},
            )
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in name else None

    def decoded(self, data: bytes, *, last: bool) -> Iterator[bytes]:
        """Yield the next data decoded; raise ProblemError if it is not one whole gzip stream."""
        if self._gzip is None:
            yield data
            return
        broken = ProblemError(400, "broken-gzip", "The body is not one whole gzip stream.")
        try:
            piece = b"more"
            while piece and not self._gzip.eof:
                # Output may remain in the stream after all input is consumed: ask until none comes.
                piece = self._gzip.decompress(data, PIECE)
                data = self._gzip.unconsumed_tail
                yield piece
        except zlib.error:
            raise broken from None
        if self._gzip.unused_data or data or (last and not self._gzip.eof):
            raise broken
