"""Writers of records as JSON Lines and as CSV; a writer of another format is one more file.

A writer has `write(records)`, which may be called again, and `close()`, which completes the output
but leaves the stream open. Nothing is written before the first record or `close()`, so that bad
input found earlier leaves nothing behind.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Protocol

from serving.files.csv_cells import neutral
from serving.records import COLUMNS, Record

# Valid JSON as they are, but some readers split lines at the separators, and a terminal obeys the
# control characters. They occur only inside strings, where an escape means the same.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029]")
_encoded = json.JSONEncoder(ensure_ascii=False).encode


class Row(Protocol):
    """What can become a line: a record, or another dataclass with the fields of its file."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that a JSON object shows."""


class Writer(Protocol):
    """What every format offers."""

    def write(self, records: Iterable[Record]) -> None:
        """Write records as they come."""

    def close(self) -> None:
        """Write what belongs at the end."""


class JsonLinesWriter:
    r"""One JSON object per line, in UTF-8, with Arabic unescaped.

    Half a surrogate pair, which UTF-8 cannot represent, becomes an escape (`\ud800`) and is read
    back unchanged.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Take the stream to write to."""
        self._stream = stream

    def write(self, records: Iterable[Row]) -> None:
        """Write one line per record."""
        for record in records:
            line = _ESCAPED.sub(_escape, _encoded(record.as_dict()))
            # Python's escape of a surrogate is also JSON's, and nothing else fails to encode.
            self._stream.write(line.encode("utf-8", errors="backslashreplace") + b"\n")

    def close(self) -> None:
        """Do nothing: JSON Lines have no end."""


def _escape(sign: re.Match[str]) -> str:
    return f"\\u{ord(sign[0]):04x}"


class CsvWriter:
    """A header and one row per record, in UTF-8; every column is always present.

    Booleans are `true` and `false` and `probabilities` is a JSON object, as in JSON Lines; null is
    an empty cell. `byte_order_mark` makes Excel read Arabic. A text that a spreadsheet would run as
    a formula gets an apostrophe in front, which our readers take off again (serving/files/
    csv_cells.py); with `raw` it is written as it is. Half a surrogate pair becomes `?`.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        byte_order_mark: bool,
        columns: Sequence[str] = COLUMNS,
        carry: Sequence[str] = (),
        raw: bool = False,
    ) -> None:
        """Take the stream to write to.

        `columns` are attributes of the rows, `carry` names of their carried fields.
        """
        self._stream = stream
        self._columns = columns
        self._carry = carry
        self._raw = raw
        self._header = (codecs.BOM_UTF8 if byte_order_mark else b"") + _csv_line([*columns, *carry])

    def write(self, records: Iterable[Row]) -> None:
        """Write one row per record, the first time after the header."""
        for record in records:
            cells = [self._cell(getattr(record, column)) for column in self._columns]
            if self._carry:
                carried = record.carried  # type: ignore[attr-defined] # only records have them
                cells += [self._cell(carried.get(name)) for name in self._carry]
            self._stream.write(self._header + _csv_line(cells))
            self._header = b""

    def close(self) -> None:
        """Write the header if there was no record."""
        self._stream.write(self._header)
        self._header = b""

    def _cell(self, value: object) -> object:
        if isinstance(value, bool | dict | list):
            return json.dumps(value, ensure_ascii=False)
        return neutral(value) if isinstance(value, str) and not self._raw else value


def _csv_line(cells: Iterable[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    # No reader of CSV takes a NUL; like half a surrogate pair it becomes `?`.
    return line.getvalue().replace("\0", "?").encode("utf-8", errors="replace")
