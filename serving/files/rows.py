"""The one reader of records: JSON Lines, JSON, CSV and TSV, and what is wrong with them.

A format is a function that yields `Row | Problem`. Whoever reads decides what a problem means: the
document stream raises the first one, the labelled reader collects them all. Files are streamed, so
memory is bounded by the longest record.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from serving.errors import Problem
from serving.files.compression import DAMAGE, PROGRAMS, decompressed
from serving.files.csv_rows import csv_rows
from serving.files.json_rows import blocks, json_line_rows, json_rows
from serving.files.row import Row, Wanted
from serving.files.sources import Source


def read_rows(source: Source, file: BinaryIO, columns: Sequence[Wanted]) -> Iterator[Row | Problem]:
    """Yield the records of `file`, the bytes of `source` as they are on disk.

    `columns` are the fields that every record needs. A table without one of them is a problem at
    once; in JSON it is for the caller to check. Raises OSError.
    """
    name = str(source)
    try:
        with decompressed(file, source.compression) as data:
            if source.kind == "json":
                yield from json_rows(blocks(data), name)
            elif source.kind == "jsonl":
                yield from json_line_rows(data, name, source.span)
            else:
                yield from csv_rows(data, name, columns, source.separator, source.span)
    except DAMAGE:
        yield damage(source)


def unreadable(source: Source, error: OSError) -> Problem:
    """Return the problem of a file that cannot be opened or read."""
    what = f"cannot be read ({error.strerror})"
    return Problem(str(source), what, "Check the file and its disk.", whole_file=True)


def damage(source: Source) -> Problem:
    """Return the problem of a compressed file that cannot be decompressed."""
    suffix = source.compression or ""
    program = PROGRAMS[suffix]
    remedy = (
        f"Copy it again, or take {suffix} off the name of a file that is not compressed; "
        f"`{program} -t` checks it."
    )
    return Problem(str(source), f"not a complete {program} file", remedy, whole_file=True)
