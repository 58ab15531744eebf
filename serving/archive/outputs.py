"""The formats that a run can write in parts, and how parts become one file."""

import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from serving.atomic import atomic_file
from serving.files.writers import CsvWriter, JsonLinesWriter, Writer

MakeWriter = Callable[[BinaryIO], Writer]


@dataclass(frozen=True, slots=True)
class Output:
    """A format; `suffix` is that of a part's file. `join` writes parts to one file, atomically."""

    suffix: str
    make_writer: MakeWriter
    join: Callable[[Sequence[Path], Path], None]


def output_format(name: str, *, raw_csv: bool = False) -> Output:
    """Return the format `name`: jsonl or csv."""
    if name == "csv":
        make_csv = partial(CsvWriter, byte_order_mark=True, raw=raw_csv)
        return Output(".csv", make_csv, partial(_concatenate, header=_header(make_csv)))
    return Output(".jsonl", JsonLinesWriter, _concatenate)


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
