"""The lines of a file, the longest of them bounded."""

from collections.abc import Iterator
from typing import BinaryIO

from serving.files.row import MAX_RECORD, RAW_OF_LONG

BLOCK = 2**16  # bytes


class LongLine(bytes):
    """The beginning of a line that is over MAX_RECORD; `size` is that of the whole line."""

    size: int


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of `file`, long ones in pieces, so that one line need not fit in memory."""
    while block := file.readline(BLOCK):
        yield block


def lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of `file` with their ends; one that is too long is a LongLine."""
    while line := file.readline(MAX_RECORD + 1):
        if len(line) <= MAX_RECORD:
            yield line
            continue
        size, last = len(line), line
        while not last.endswith(b"\n") and (last := file.readline(BLOCK)):
            size += len(last)
        line = LongLine(line[:RAW_OF_LONG] + b"\n")
        line.size = size
        yield line


def size_of(line: bytes) -> int:
    """Return how many bytes of the file a line is."""
    return line.size if isinstance(line, LongLine) else len(line)
