"""How an archive is cut into slices: from the input alone, so that every run cuts it alike."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from serving.files.sources import Source, Span

# Bytes of a slice, about 7,000 sentences of Arabic news: small enough to lose in a crash, large
# enough to fill micro-batches. Small files share a slice.
SLICE_BYTES = 2 * 2**20
_BLOCK = 2**20

Slice = tuple[Source, ...]


def plan(sources: Sequence[Source], *, lines: bool) -> list[Slice]:
    """Return the slices of `sources` in order; `lines` says that text files hold one text per line.

    JSON Lines, CSV and lines of text are cut at record ends; what cannot be cut (a document, a
    compressed file, standard input) is in one slice.
    """
    slices: list[Slice] = []
    waiting: list[Source] = []
    size = 0
    for source in sources:
        for piece in _pieces(source, lines=lines):
            if waiting and size + piece.size > SLICE_BYTES:
                slices.append(tuple(waiting))
                waiting, size = [], 0
            waiting.append(piece)
            size += piece.size
    if waiting:
        slices.append(tuple(waiting))
    return slices


def _pieces(source: Source, *, lines: bool) -> Iterator[Source]:
    size = source.size
    in_lines = source.kind in ("jsonl", "csv", "tsv") or (source.kind == "text" and lines)
    if source.path is None or source.compression or not in_lines or size <= SLICE_BYTES:
        yield source
        return
    with source.path.open("rb") as stream:
        blocks = iter(lambda: stream.read(_BLOCK), b"")
        quoted = source.kind in ("csv", "tsv")
        start, line = 0, 1
        for end, next_line in _record_ends(blocks, quoted=quoted):
            yield dataclasses.replace(source, span=Span(start, end, line))
            start, line = end, next_line
        if start < size:
            yield dataclasses.replace(source, span=Span(start, size, line))


def _record_ends(blocks: Iterable[bytes], *, quoted: bool) -> Iterator[tuple[int, int]]:
    """Yield the offset behind the first record end after every SLICE_BYTES, and its line number.

    In CSV (`quoted`) a line break between quotes belongs to a cell: up to the end of a record the
    number of quotes is even, as a quote inside a cell is doubled.
    """
    offset, line, quotes, goal = 0, 1, 0, SLICE_BYTES
    for block in blocks:
        at = 0
        while (found := block.find(b"\n", max(at, goal - offset - 1))) >= 0:
            quotes += block.count(b'"', at, found + 1) if quoted else 0
            line += block.count(b"\n", at, found + 1)
            at = found + 1
            goal = offset + at + 1  # the next line break, if this one is inside a cell
            if quotes % 2 == 0:
                yield offset + at, line
                goal = offset + at + SLICE_BYTES
        quotes += block.count(b'"', at) if quoted else 0
        line += block.count(b"\n", at)
        offset += len(block)
