"""Records to the bytes of JSON Lines and CSV."""

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Record = dict[str, Any]

CSV_COLUMNS = (
    "doc_id",
    "sentence",
    "start",
    "end",
    "text",
    "label",
    "probability",
    "certain",
    "probabilities",
    "model",
    "truncated",
    "error",
)

# Legal in JSON as they are, but some readers break lines at the separators, and a terminal obeys
# the controls. They can only stand inside strings, where an escape means the same.
_ESCAPED = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}


def json_lines(records: Iterable[Record]) -> Iterator[bytes]:
    r"""Yield one line of UTF-8 a record, Arabic as it is.

    Half a surrogate pair, which UTF-8 cannot hold, leaves as the escape (`\ud800`) that brings it
    in, so that it is read back the same.
    """
    for record in records:
        line = json.dumps(record, ensure_ascii=False).translate(_ESCAPED)
        # Python's own escape of a surrogate is JSON's, and nothing else fails to encode.
        yield line.encode("utf-8", errors="backslashreplace") + b"\n"


def csv_lines(
    records: Iterable[Record], *, byte_order_mark: bool, columns: Sequence[str] = CSV_COLUMNS
) -> Iterator[bytes]:
    """Yield the header and one row of UTF-8 a record, all columns always there.

    Booleans read `true` and `false` and `probabilities` is a JSON object, as in JSON Lines; null
    is an empty cell. `byte_order_mark` makes Excel read Arabic. The text stands as it is in the
    document, also where it begins with `=` or `-`, so that offsets and text agree: import the
    text column as text into a spreadsheet. Half a surrogate pair becomes `?`.
    """
    header = (codecs.BOM_UTF8 if byte_order_mark else b"") + _csv_line(columns)
    for record in records:
        cells = {"truncated": False} | record
        # The header waits for the first record: bad input found before it leaves nothing behind.
        yield header + _csv_line([_cell(cells.get(column)) for column in columns])
        header = b""
    if header:
        yield header


def _cell(value: object) -> object:
    if isinstance(value, bool | dict):
        return json.dumps(value, ensure_ascii=False)
    return value


def _csv_line(cells: Iterable[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode("utf-8", errors="replace")
