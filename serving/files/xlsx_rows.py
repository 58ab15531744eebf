"""Excel workbooks to rows: every sheet is a table with a header."""

import datetime
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from serving.errors import Problem, missing_extra
from serving.files.compression import BadFile, seekable
from serving.files.row import Row, Wanted, header_problem, listed

# The texts of all cells, which are held at once; Excel's own limits allow far more.
_MAX_STRINGS = 2**28  # bytes
# How a workbook holds a control character, such as the carriage return of a line end from Windows.
_CONTROL = re.compile(r"_x00([01][0-9A-Fa-f])_")


def xlsx_rows(file: BinaryIO, name: str, columns: Sequence[Wanted]) -> Iterator[Row | Problem]:
    """Yield the rows of every sheet; rows without any cell are passed over.

    A row's number is that in its sheet, with the sheet's name after the first sheet.
    """
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise missing_extra("An .xlsx file", "openpyxl", "archive") from error
    file = seekable(file)
    try:
        _check_size(file)
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        for position, sheet in enumerate(book.worksheets):
            place = f"{name}: sheet {sheet.title!r}"
            sheet.reset_dimensions()  # some programs write wrong ones
            yield from _sheet_rows(sheet, place, f"{sheet.title}:" if position else "", columns)
    except BadFile:
        raise
    except Exception as error:  # openpyxl's errors have no common base
        what = f"not a complete .xlsx file: {str(error).partition(chr(10))[0][:200]}"
        raise BadFile(what, "Save it again, or export the sheet as CSV.") from error


def _sheet_rows(
    sheet: Any, place: str, prefix: str, columns: Sequence[Wanted]
) -> Iterator[Row | Problem]:
    header: list[str] = []
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        where = f"{place}: row {number}"
        if all(cell is None for cell in cells):
            continue
        if not header:
            header = ["" if cell is None else str(cell).strip() for cell in cells]
            if problem := header_problem(where, header, columns):
                yield problem
                return
            continue
        values = [_plain(cell) for cell in cells]
        if any(value is not None for value in values[len(header) :]):
            what = f"more cells than the header, which has {listed(header)}"
            raw = str(values[:50])
            yield Problem(where, what, "Give every column a name.", line=number, raw=raw)
            continue
        values += [None] * (len(header) - len(values))
        pairs = zip(header, values, strict=False)
        fields = {column: value for column, value in pairs if column}
        yield Row(where, number, f"{prefix}{number}" if prefix else number, fields)


def _check_size(file: BinaryIO) -> None:
    """Raise BadFile where the texts would not fit in memory."""
    start = file.tell()
    with zipfile.ZipFile(file) as packed:
        for part in packed.infolist():
            if part.filename.endswith("sharedStrings.xml") and part.file_size > _MAX_STRINGS:
                raise BadFile(
                    f"holds texts of {part.file_size:,} bytes, more than {_MAX_STRINGS:,}",
                    "Export the sheet as CSV.",
                )
    file.seek(start)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str):
        return _CONTROL.sub(lambda sign: chr(int(sign[1], 16)), value)
    return str(value) if isinstance(value, datetime.timedelta) else value
