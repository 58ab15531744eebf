"""The formats that a run can write in parts, and how parts become one file."""

import gzip
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from serving.atomic import atomic_file
from serving.errors import missing_extra
from serving.files.fields import ALL
from serving.files.parquet_writer import ParquetWriter, check_parquet
from serving.files.writers import CsvWriter, JsonLinesWriter, Writer
from serving.records import COLUMNS, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

MakeWriter = Callable[[BinaryIO], Writer]

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")


@dataclass(frozen=True, slots=True)
class Output:
    """A format; `suffix` is that of a part's file. `join` writes parts to one file, atomically.

    With `partition_by` a part is split by the values of that carried field, and never joined.
    """

    suffix: str
    make_writer: MakeWriter
    join: Callable[[Sequence[Path], Path], None]
    partition_by: str | None = None


def output_format(
    name: str,
    *,
    carry: Sequence[str] = (),
    labels: Sequence[str] = (),
    about: Mapping[str, str] | None = None,
    partition_by: str | None = None,
    raw_csv: bool = False,
) -> Output:
    """Return one of FORMATS.

    Tables have a column for each field of `carry`, with ALL one column of JSON objects. Parquet
    also has the `labels`, and `about` as metadata. Raises InputError for a missing library.
    """
    columns = ["carried"] if ALL in carry else [field for field in carry if field != partition_by]
    suffix = f".{name}"
    if name == "parquet":
        check_parquet()
        make_parquet = partial(
            ParquetWriter, labels=labels, carry=columns, about=about or {}, every=ALL in carry
        )
        return Output(suffix, make_parquet, _join_parquet, partition_by)
    if name == "csv":
        make_csv = partial(
            CsvWriter,
            byte_order_mark=True,
            columns=(*COLUMNS, *(["carried"] if ALL in carry else [])),
            carry=() if ALL in carry else columns,
            raw=raw_csv,
        )
        return Output(
            suffix, make_csv, partial(_concatenate, header=_header(make_csv)), partition_by
        )
    if name == "jsonl":
        return Output(suffix, JsonLinesWriter, _concatenate, partition_by)
    # Compressed parts one after the other are a compressed file.
    compress = _gzip if name == "jsonl.gz" else _zstd
    if name == "jsonl.zst":
        _check_zstd()
    return Output(suffix, partial(_Compressed, compress=compress), _concatenate, partition_by)


class _Compressed:
    """JSON Lines in a compressed stream, the same bytes at any time."""

    def __init__(self, stream: BinaryIO, compress: Callable[[BinaryIO], BinaryIO]) -> None:
        self._stream = stream
        self._compress = compress
        self._packed: BinaryIO | None = None

    def write(self, records: "Iterable[Record]") -> None:
        """Write one line per record."""
        self._packed = self._packed or self._compress(self._stream)
        JsonLinesWriter(self._packed).write(records)

    def close(self) -> None:
        """Write the end of the compressed stream."""
        (self._packed or self._compress(self._stream)).close()


def _gzip(stream: BinaryIO) -> BinaryIO:
    packed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0, compresslevel=6)
    return cast("BinaryIO", packed)


def _zstd(stream: BinaryIO) -> BinaryIO:
    import zstandard

    packed = zstandard.ZstdCompressor(level=3).stream_writer(stream, closefd=False)
    return cast("BinaryIO", packed)


def _check_zstd() -> None:
    try:
        import zstandard  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("jsonl.zst", "zstandard", "archive") from error


def _header(make_writer: MakeWriter) -> int:
    """Return the bytes at the beginning of every part that only the first keeps."""
    stream = io.BytesIO()
    make_writer(stream).close()
    return stream.tell()


def _concatenate(parts: Sequence[Path], target: Path, header: int = 0) -> None:
    with atomic_file(target) as temporary, temporary.open("wb") as stream:
        for position, path in enumerate(parts):
            with path.open("rb") as part:
                part.seek(header if position else 0)
                shutil.copyfileobj(part, stream, 2**20)


def _join_parquet(parts: Sequence[Path], target: Path) -> None:
    from pyarrow import parquet

    schema = parquet.read_schema(parts[0])
    with (
        atomic_file(target) as temporary,
        temporary.open("wb") as stream,
        parquet.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        for path in parts:
            with parquet.ParquetFile(path) as part:
                for group in range(part.num_row_groups):
                    writer.write_table(part.read_row_group(group, use_threads=False))
