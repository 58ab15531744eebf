"""Compressed request bodies: decompressed as they arrive, never more than their reader asks for."""

import zlib
from collections.abc import Iterator

from serving.service.http_problems import ProblemError

# Bytes that are decompressed at a time.
PIECE = 64 * 1024


class Identity:
    """A body that is not compressed."""

    def decoded(self, data: bytes, *, last: bool) -> Iterator[bytes]:  # noqa: ARG002
        """Yield the data."""
        yield data


class Gzip:
    """A body that is one gzip stream, decompressed piece by piece: a bomb stops at the limit."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def decoded(self, data: bytes, *, last: bool) -> Iterator[bytes]:
        """Yield pieces of at most PIECE bytes; raise ProblemError if this is not gzip."""
        try:
            piece = b"more"
            while piece and not self._stream.eof:
                # Output may be left in the stream after all input is taken: ask until none comes.
                piece = self._stream.decompress(data, PIECE)
                data = self._stream.unconsumed_tail
                yield piece
        except zlib.error:
            raise _broken_gzip() from None
        if self._stream.unused_data or data or (last and not self._stream.eof):
            raise _broken_gzip()


def decoder(encoding: str) -> Identity | Gzip:
    """Return the decoder of a Content-Encoding; raise ProblemError for an unknown one."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return Identity()
    if name in ("gzip", "x-gzip"):
        return Gzip()
    raise ProblemError(
        415,
        "unknown-encoding",
        f"The content encoding is {name[:100]!r}; send gzip, or no encoding.",
        headers={"Accept-Encoding": "gzip"},
    )


def _broken_gzip() -> ProblemError:
    return ProblemError(400, "broken-gzip", "The body is not one whole gzip stream.")
