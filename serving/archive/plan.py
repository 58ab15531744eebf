"""How an archive is cut into slices: from the input alone, so that every run cuts it alike."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from serving.files.arrow_rows import row_groups
from serving.files.csv_rows import row_ends
from serving.files.lines import blocks
from serving.files.lines import lines as lines_of
from serving.files.sources import Source, Span

# Bytes of a slice, about 7,000 sentences of Arabic news: small enough to lose in a crash, large
# enough to fill micro-batches. Small files share a slice.
SLICE_BYTES = 2 * 2**20

Slice = tuple[Source, ...]


def plan(sources: Sequence[Source], *, lines: bool, text_fields: Sequence[str]) -> list[Slice]:
    """Return the slices of `sources` in order; `lines` says that text files hold one text per line.

    JSON Lines, tables and lines of text are cut at record ends; what cannot be cut (a document, a
    compressed file, standard input) is in one slice, and so is what cannot be read.
    """
    slices: list[Slice] = []
    waiting: list[Source] = []
    size = 0
    for source in sources:
        try:
            pieces = list(_pieces(source, lines=lines, text_fields=text_fields))
        except OSError:
            pieces = [source]  # reading it will say so
        for piece in pieces:
            if waiting and size + piece.size > SLICE_BYTES:
                slices.append(tuple(waiting))
                waiting, size = [], 0
            waiting.append(piece)
            size += piece.size
    if waiting:
        slices.append(tuple(waiting))
    return slices


def _pieces(source: Source, *, lines: bool, text_fields: Sequence[str]) -> Iterator[Source]:
    table = source.kind in ("csv", "tsv")
    in_records = table or source.kind == "jsonl" or (source.kind == "text" and lines)
    can_be_cut = source.place is not None and not source.compression
    if not can_be_cut or source.size <= SLICE_BYTES:
        yield source
    elif source.kind == "parquet":
        with source.open() as stream:
            pieces = row_groups(stream, SLICE_BYTES)
        for groups in pieces:
            yield dataclasses.replace(source, groups=groups)
        if not pieces:
            yield source
    elif not in_records:
        yield source
    else:
        yield from _spans(source, text_fields if table else None)


def _spans(source: Source, text_fields: Sequence[str] | None) -> Iterator[Source]:
    """Yield the pieces of a file of lines, or of a table with one of `text_fields`."""
    size, start, line, head = source.size, 0, 1, b""
    with source.open() as stream:
        if text_fields:
            ends = row_ends(lines_of(stream), text_fields, source.separator)
        else:
            ends = _line_ends(stream)
        for end, next_line in ends:
            if text_fields and not head:
                head = _beginning(source, end)
            if end - start >= SLICE_BYTES:
                yield _piece(source, Span(start, end, line, head if start else b""))
                start, line = end, next_line
    if start < size:
        yield _piece(source, Span(start, size, line, head if start else b""))


def _piece(source: Source, span: Span) -> Source:
    return dataclasses.replace(source, span=span)


def _beginning(source: Source, end: int) -> bytes:
    with source.open() as file:
        return file.read(end)


def _line_ends(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the offset behind every line, and the number of the next one."""
    offset, number = 0, 1
    for block in blocks(stream):
        offset += len(block)
        if block.endswith(b"\n"):
            number += 1
            yield offset, number
