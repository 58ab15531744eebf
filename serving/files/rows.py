"""The one reader of records, whatever their form, and what is wrong with them.

A format is a function that yields `Row | Problem`. Whoever reads decides what a problem means: the
document stream raises the first one, the labelled reader collects them all. Files are streamed, so
memory is bounded by the longest record.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from serving.errors import Problem
from serving.files.arrow_rows import arrow_rows, parquet_rows
from serving.files.compression import BadFile, decompressed
from serving.files.csv_rows import csv_rows
from serving.files.json_rows import json_line_rows, json_rows
from serving.files.lines import blocks, lines
from serving.files.row import Row, Wanted
from serving.files.sources import Source
from serving.files.web_rows import html_rows, warc_rows
from serving.files.xlsx_rows import xlsx_rows


def read_rows(source: Source, file: BinaryIO, columns: Sequence[Wanted]) -> Iterator[Row | Problem]:
    """Yield the records of `file`, the bytes of `source` as they are on disk.

    `columns` are the fields that every record needs. A table without one of them is a problem at
    once; in JSON it is for the caller to check. Raises OSError.
    """
    name = str(source)
    try:
        data = decompressed(file, source.compression)
        match source.kind:
            case "jsonl":
                yield from json_line_rows(lines(data), name, source.span)
            case "json":
                yield from json_rows(blocks(data), name)
            case "parquet":
                yield from parquet_rows(data, name, columns, source.groups)
            case "arrow":
                yield from arrow_rows(data, name, columns)
            case "xlsx":
                yield from xlsx_rows(data, name, columns)
            case "html":
                yield from html_rows(data, name)
            case "warc":
                yield from warc_rows(data, name)
            case _:
                yield from csv_rows(lines(data), name, columns, source.separator, source.span)
    except BadFile as error:
        yield damage(source, error)


def unreadable(source: Source, error: OSError) -> Problem:
    """Return the problem of a file that cannot be opened or read."""
    what = f"cannot be read ({error.strerror or error})"
    missing = isinstance(error, FileNotFoundError)
    remedy = "Check its name." if missing else "Check the file and its disk."
    return Problem(str(source), what, remedy, whole_file=True)


def damage(source: Source, error: BadFile) -> Problem:
    """Return the problem of a file that cannot be read further."""
    return Problem(str(source), error.what, error.remedy, whole_file=True)
