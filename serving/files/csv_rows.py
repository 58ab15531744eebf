"""Tables with a header (CSV and TSV) to rows, whatever separates their cells."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from serving.errors import Problem
from serving.files.csv_cells import original, written_by_rasd
from serving.files.encoding import decoded_lines
from serving.files.lines import size_of
from serving.files.row import MAX_RECORD, Row, Wanted, header_problem
from serving.files.sources import Span
from serving.terminal import counted

# Far above any text in one cell; without a limit, a lone quote sign would read the rest of a huge
# file into memory before it is found out.
csv.field_size_limit(MAX_RECORD)

# Spreadsheets write semicolons where the decimal sign is a comma, as in much of the Arab world.
SEPARATORS = (",", ";", "\t")
EXCEL_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)

_CLOSE_QUOTES = 'Close every double quote, and write "" for one inside a cell.'
_NEW_LINES = r"If lines end with it, as old Macs write them: tr '\r' '\n' < OLD > NEW"

# A row starts on this line, and these are its cells.
_Cells = tuple[int, list[str] | Problem]


def csv_rows(
    raw_lines: Iterable[bytes],
    name: str,
    columns: Sequence[Wanted],
    separator: str | None = None,
    span: Span | None = None,
) -> Iterator[Row | Problem]:
    """Yield the rows under the header; rows without any cell are passed over.

    `columns` are those that the header must have.
    Without `separator` the header shows it, or Excel's line `sep=;` before the header. With `span`
    the lines are those of its bytes, and the span has the header. Cells of a table that rasd wrote
    are read as the texts that they were made from.
    """
    header: list[str] = []
    ours = False
    names = [name for column in columns for name in column.names]
    for line, cells in _rows_of_cells(_TableLines(raw_lines, name, span), names, separator):
        where = f"{name}: line {line}"
        if isinstance(cells, Problem):
            yield cells
            if cells.whole_file or not header:
                return
        elif not header:
            header = [cell.strip() for cell in cells]
            ours = written_by_rasd(header)
            if problem := header_problem(where, header, columns):
                yield problem
                return
        elif len(cells) != len(header):
            what = f"{counted(len(cells), 'cell')}, the header has {len(header):,}"
            remedy = "Quote every cell that holds the separator, a quote sign or a line break."
            raw = json.dumps(cells, ensure_ascii=False)
            yield Problem(where, what, remedy, line=line, raw=raw)
        else:
            pairs = zip(header, map(original, cells) if ours else cells, strict=True)
            yield Row(where, line, line, {column: cell for column, cell in pairs if column})


@dataclass(slots=True)
class _TableLines:
    """The decoded lines of a table, and what was read since the last row."""

    lines: Iterable[bytes]
    name: str
    span: Span | None = None
    count: int = 0
    pending: list[str] = field(default_factory=list)
    problem: Problem | None = None

    def __iter__(self) -> Iterator[str]:
        for number, line in chain.from_iterable(self._decoded()):
            self.count = number
            if isinstance(line, Problem):
                self.problem = self.problem or line
                # The row still has to end somewhere.
                self.pending.append(line.raw.replace("\0", ""))
            else:
                self.pending.append(line)
            yield self.pending[-1]

    def _decoded(self) -> Iterator[Iterator[tuple[int, str | Problem]]]:
        if self.span:
            yield decoded_lines(io.BytesIO(self.span.head), self.name)
        yield decoded_lines(self.lines, self.name, self.span)

    @property
    def next_line(self) -> int:
        """The number of the line that is read next: behind the header the span's first."""
        if self.span and self.count == self.span.head.count(b"\n"):
            return self.span.line
        return self.count + 1


def row_ends(
    raw_lines: Iterable[bytes], columns: Iterable[str], separator: str | None
) -> Iterator[tuple[int, int]]:
    """Yield the offset behind the header and behind every row, and the number of the next line.

    A line break inside a quoted cell ends no row.
    """
    offset = 0

    def counted() -> Iterator[bytes]:
        nonlocal offset
        for raw in raw_lines:
            offset += size_of(raw)
            # Offsets count bytes. What is no UTF-8 is for `csv_rows` to report.
            yield raw.replace(b"\0", b"").decode("utf-8", "replace").encode()

    lines = _TableLines(counted(), "")
    for _ in _rows_of_cells(lines, columns, separator):
        yield offset, lines.next_line


def _rows_of_cells(
    read: _TableLines, columns: Iterable[str], separator: str | None
) -> Iterator[_Cells]:
    """Yield the line on which each row begins and its cells, or why there are none."""
    lines = iter(read)
    filled = filter(str.strip, lines)
    first = next(filled, "")
    if excel := EXCEL_SEPARATOR.fullmatch(first):
        separator, first = excel[1], next(filled, "")
    separator = separator or separator_of(first, columns)
    rows = csv.reader(chain([first] if first else [], lines), strict=True, delimiter=separator)
    line = read.count
    while True:
        found: list[str] | Problem | None
        try:
            found = next(rows, None)
        except csv.Error as error:
            what, remedy = f"not CSV: {error}", _CLOSE_QUOTES
            if "new-line character" in what:
                what, remedy = "not CSV: a carriage return outside of quotes", _NEW_LINES
            whole = "field larger" in what
            raw = "".join(read.pending)
            found = Problem(f"{read.name}: line {line}", what, remedy, False, line, raw, whole)
        found = read.problem or found
        if found is None:
            return
        if isinstance(found, Problem) or any(found):
            yield line, found
        line = read.next_line
        read.problem = None
        read.pending.clear()


def separator_of(header: str, columns: Iterable[str]) -> str:
    """Return the separator that finds most of the `columns` in a header, then most cells."""

    def found(separator: str) -> tuple[int, int]:
        cells = header_cells(header, separator)
        return len(set(columns).intersection(cells)), len(cells)

    return max(SEPARATORS, key=found)


def header_cells(line: str, separator: str) -> list[str]:
    """Return the trimmed cells of one line, whatever is wrong with it."""
    with suppress(csv.Error):
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    return []
