"""Compressed files to the bytes they hold, within bounds."""

import bz2
import gzip
import io
import shutil
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from serving.errors import RasdError, missing_extra

if TYPE_CHECKING:
    import zstandard
    from _typeshed import WriteableBuffer

PROGRAMS = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2", ".zst": "zstd"}

# News compresses 3 to 60 times, the same bytes over and over 1,000 times and more.
MAX_RATIO = 500
# No matter how it is compressed, this much is never too much.
ALWAYS_ALLOWED = 2**28  # bytes
# One block of zstd, four bytes, can become 128 kB.
_ZSTD_INPUT = 2**11
_IN_MEMORY = 2**24


class BadFile(Exception):  # noqa: N818 - the file is bad, not the program
    """A file of which nothing more can be read: what is wrong and what would be right."""

    def __init__(self, what: str, remedy: str) -> None:
        """Keep both."""
        super().__init__(what)
        self.what = what
        self.remedy = remedy


class Readable(Protocol):
    """Whatever gives bytes."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""


def decompressed(file: BinaryIO, suffix: str | None) -> BinaryIO:
    """Return the decompressed bytes of `file`; `suffix` is one of PROGRAMS, or None for plain ones.

    Reading a damaged file, or one that grows more than MAX_RATIO times, raises BadFile.
    """
    if suffix is None:
        return file
    program = PROGRAMS[suffix]
    damaged = BadFile(
        f"not a complete {program} file",
        f"Copy it again, or take {suffix} off the name of a file that is not compressed; "
        f"`{program} -t` checks it.",
    )
    return bounded(_opened(file, suffix), file.tell, damaged)


def bounded(stream: Readable, consumed: Callable[[], int], damaged: BadFile) -> BinaryIO:
    """Return `stream` for reading forwards; `consumed` says how many bytes it has been made from.

    Raises `damaged` where the stream cannot be read, BadFile where it grows too much.
    """
    return cast("BinaryIO", io.BufferedReader(_Bounded(stream, consumed, damaged), 2**17))


def seekable(file: BinaryIO) -> BinaryIO:
    """Return `file`, or a temporary copy of it where positions cannot be gone back to."""
    if file.seekable():
        return file
    copy = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed with its last reader
    shutil.copyfileobj(file, copy, 2**20)
    copy.seek(0)
    return cast("BinaryIO", copy)


def _opened(file: BinaryIO, suffix: str) -> Readable:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    if suffix == ".bz2":
        return bz2.BZ2File(file)
    if suffix == ".xz":
        import lzma  # only here: some Pythons are built without it

        return lzma.LZMAFile(file)
    return _Zstd(file)


class _Zstd:
    """The bytes of a zstd file; unlike the library's own reader it notices a missing end."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import zstandard
        except ModuleNotFoundError as error:
            raise missing_extra("A .zst file", "zstandard", "archive") from error
        self._file = file
        self._library = zstandard
        self._frame = self._new_frame()
        self._held = b""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        while not self._held:
            if self._frame.eof:
                rest = self._frame.unused_data or self._file.read(_ZSTD_INPUT)
                if not rest:
                    return b""
                self._frame = self._new_frame()
            else:
                rest = self._file.read(_ZSTD_INPUT)
                if not rest:
                    raise EOFError
            try:
                self._held = self._frame.decompress(rest)
            except self._library.ZstdError as error:
                raise EOFError(str(error)) from error
        piece, self._held = self._held[:size], self._held[size:]
        return piece

    def _new_frame(self) -> "zstandard.ZstdDecompressionObj":
        return self._library.ZstdDecompressor(max_window_size=2**27).decompressobj()


class _Bounded(io.RawIOBase):
    """Reads another stream forwards, and turns its errors into one."""

    def __init__(self, stream: Readable, consumed: Callable[[], int], damaged: BadFile) -> None:
        self._stream = stream
        self._consumed = consumed
        self._damaged = damaged
        self._produced = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._produced

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        try:
            block = self._stream.read(len(view))
        except (RasdError, BadFile):
            raise
        except Exception as error:  # libraries' own errors have no common base
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the file
            raise self._damaged from error
        self._produced += len(block)
        if self._produced > max(ALWAYS_ALLOWED, MAX_RATIO * self._consumed()):
            raise BadFile(
                f"decompresses to over {MAX_RATIO} times its size, as no news does",
                "Decompress it yourself if you trust it.",
            )
        view[: len(block)] = block
        return len(block)
