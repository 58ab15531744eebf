"""Parquet, Arrow and Feather files to rows."""

import base64
import datetime
import decimal
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from serving.errors import InputError, Problem, missing_extra
from serving.files.compression import BadFile, seekable
from serving.files.row import MAX_RECORD, Row, Wanted, header_problem
from serving.files.sources import RowGroups

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

# Rows that are held at once; fewer where they are long.
_ROWS = 256


def parquet_rows(
    file: BinaryIO, name: str, columns: Sequence[Wanted], groups: RowGroups | None = None
) -> Iterator[Row | Problem]:
    """Yield the rows of a Parquet file, or of some of its row groups; rows count from 1."""
    opened = _parquet(file)
    if problem := _header_problem(name, "Parquet", lambda: opened.schema_arrow, columns):
        yield problem
        return
    metadata = opened.metadata
    first, end = (groups.first, groups.end) if groups else (0, metadata.num_row_groups)
    number = 1 + sum(metadata.row_group(group).num_rows for group in range(first))
    for group in range(first, end):
        about = metadata.row_group(group)
        average = about.total_byte_size // max(1, about.num_rows)
        size = max(1, min(_ROWS, MAX_RECORD // max(1, average)))
        batches = opened.iter_batches(size, row_groups=[group], use_threads=False)
        yield from _rows(batches, name, number, columns)
        number += about.num_rows


def row_groups(file: BinaryIO, at_least: int) -> list[RowGroups]:
    """Return the row groups of a Parquet file in pieces of `at_least` bytes; [] if damaged."""
    try:
        metadata = _parquet(file).metadata
    except (BadFile, InputError):
        return []  # reading it will say so
    pieces: list[RowGroups] = []
    first = size = 0
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        size += sum(about.column(n).total_compressed_size for n in range(about.num_columns))
        if size >= at_least or group == metadata.num_row_groups - 1:
            pieces.append(RowGroups(first, group + 1, size))
            first, size = group + 1, 0
    return pieces


def arrow_rows(file: BinaryIO, name: str, columns: Sequence[Wanted]) -> Iterator[Row | Problem]:
    """Yield the rows of an Arrow file (Feather version 2) or stream; rows count from 1."""
    ipc = _library("An Arrow file").ipc
    file = seekable(file)
    start = file.tell()
    magic = file.read(6)
    file.seek(start)
    try:
        reader = ipc.open_file(file) if magic == b"ARROW1" else ipc.open_stream(file)
    except Exception as error:
        raise _damaged("Arrow", error) from error
    if problem := _header_problem(name, "Arrow", lambda: reader.schema, columns):
        yield problem
        return
    if magic == b"ARROW1":
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        batches = iter(reader)
    yield from _rows(
        (batch.slice(at, _ROWS) for batch in batches for at in range(0, batch.num_rows, _ROWS)),
        name,
        1,
        columns,
        "Arrow",
    )


def _parquet(file: BinaryIO) -> "parquet.ParquetFile":
    _library("A Parquet file")
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(seekable(file), pre_buffer=False, buffer_size=2**20)
    except Exception as error:
        raise _damaged("Parquet", error) from error


def _library(what: str) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.ipc
    except ModuleNotFoundError as error:
        raise missing_extra(what, "pyarrow", "archive") from error
    return pa


def _rows(
    batches: Iterator["pa.RecordBatch"],
    name: str,
    number: int,
    columns: Sequence[Wanted],
    form: str = "Parquet",
) -> Iterator[Row | Problem]:
    wanted = {field for column in columns for field in column.names}
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:
            raise _damaged(form, error) from error
        if batch is None:
            return
        for fields in _fields(batch, wanted):
            where = f"{name}: row {number}"
            if fields is None:
                what = "a value that is damaged, not UTF-8 or out of range"
                remedy = "Write the row again."
                yield Problem(where, what, remedy, line=number)
            else:
                yield Row(where, number, number, fields)
            number += 1


def _fields(batch: "pa.RecordBatch", texts: set[str]) -> list[dict[str, Any] | None]:
    """Return the rows of a batch; None for one with a value that is damaged or Python cannot hold.

    Some programs write text as bytes: the fields of `texts` must be UTF-8 then.
    """
    try:
        batch.validate(full=True)  # wrong offsets would end the process
        batch = _in_microseconds(batch)
        rows = batch.to_pylist()
        for row in rows:
            for name in texts & row.keys():
                if isinstance(row[name], bytes):
                    row[name] = row[name].decode()
        return [_plain(row) for row in rows]
    except Exception:  # a time zone that is not installed is a KeyError
        if batch.num_rows == 1:
            return [None]
        return [
            fields
            for row in range(batch.num_rows)
            for fields in _fields(batch.slice(row, 1), texts)
        ]


def _in_microseconds(batch: "pa.RecordBatch") -> "pa.RecordBatch":
    """Return a batch without nanoseconds, which Python's own types cannot hold."""
    import pyarrow as pa

    for position, column in enumerate(batch.schema):
        kind = column.type
        if (pa.types.is_timestamp(kind) or pa.types.is_duration(kind)) and kind.unit == "ns":
            coarse = (
                pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")
            )
            values = batch.column(position).cast(coarse, safe=False)
            batch = batch.set_column(position, column.name, values)
    return batch


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it; NaN, which pandas writes for null, is null."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return _decoded(value)
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _decoded(value: bytes) -> str:
    """Return bytes as the text that they are, or as Base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _header_problem(
    name: str, form: str, schema: Callable[[], "pa.Schema"], columns: Sequence[Wanted]
) -> Problem | None:
    try:
        names = schema().names
    except Exception as error:  # names that are not UTF-8, for example
        raise _damaged(form, error) from error
    return header_problem(name, names, columns)


def _damaged(form: str, error: Exception) -> BadFile:
    reason = str(error).partition("\n")[0][:200]
    return BadFile(f"not a complete {form} file: {reason}", "Write or copy it again.")
