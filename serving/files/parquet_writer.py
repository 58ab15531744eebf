"""The writer of records as a Parquet file, whose schema is that of a record."""

import dataclasses
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from serving.errors import missing_extra
from serving.records import Record

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

# Records of a row group; a part of an archive run has fewer.
_ROWS = 10_000


class ParquetWriter:
    """Typed columns, labels and model as dictionaries; `probabilities` has a column per label.

    `carry` are the names of carried fields, which become strings: JSON where they are neither a
    string nor null. `about` becomes metadata of the file. Half a surrogate pair becomes `?`.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        labels: Sequence[str],
        carry: Sequence[str],
        about: Mapping[str, str],
        every: bool = False,
    ) -> None:
        """Take the stream to write to."""
        self._stream = stream
        self._carry = carry
        self._every = every
        self._schema = _schema(labels, carry, about)
        self._rows: list[dict[str, Any]] = []
        self._writer: parquet.ParquetWriter | None = None

    def write(self, records: Iterable[Record]) -> None:
        """Write records; whole row groups at a time."""
        for record in records:
            self._rows.append(self._row(record))
            if len(self._rows) >= _ROWS:
                self._flush()

    def close(self) -> None:
        """Write what is left and the end of the file."""
        self._flush()
        if self._writer:
            self._writer.close()

    def _row(self, record: Record) -> dict[str, Any]:
        row = {
            name: _utf8(value) if isinstance(value := getattr(record, name), str) else value
            for name in self._schema.names
            if name not in self._carry
        }
        row["probabilities"] = record.probabilities or None
        for name in self._carry:
            row[name] = _text(record.carried if self._every else record.carried.get(name))
        return row

    def _flush(self) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._stream, self._schema, compression="zstd")
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._rows = []


def check_parquet() -> None:
    """Raise InputError where the library that writes Parquet is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("Parquet", "pyarrow", "archive") from error


def _schema(labels: Sequence[str], carry: Sequence[str], about: Mapping[str, str]) -> "pa.Schema":
    import pyarrow as pa

    names = pa.dictionary(pa.int8(), pa.string())
    special = {
        "label": names,
        "model": names,
        "probabilities": pa.struct([(label, pa.float64()) for label in labels]),
    }
    types = {str: pa.string(), int: pa.int32(), float: pa.float64(), bool: pa.bool_()}
    hints = typing.get_type_hints(Record)
    columns = []
    for column in dataclasses.fields(Record):
        if column.name == "carried":
            continue
        hint = hints[column.name]
        kind = next(iter(typing.get_args(hint)), hint)  # `str` of `str | None`
        columns.append((column.name, special.get(column.name) or types[kind]))
    columns += [(name, pa.string()) for name in carry]
    return pa.schema(columns, metadata=dict(about))


def _text(value: object) -> str | None:
    if value is None:
        return None
    return _utf8(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
