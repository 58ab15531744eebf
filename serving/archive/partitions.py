"""A part of a run, split into a folder for each value of a carried field, as Hive reads it."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from serving.atomic import atomic_file
from serving.errors import InputError, Problem
from serving.files.writers import Writer
from serving.records import Document, Record

_NULL = "__HIVE_DEFAULT_PARTITION__"
# What Hive escapes in a folder's name, as %XX.
_ESCAPED = re.compile("[\x00-\x1f\x7f\"#%'*/:=?\\\\{}\\[\\]^]")
_LONGEST = 255  # bytes of a name, on every usual file system


class PartitionWriter:
    """Keeps the records of one part and writes them when it is closed.

    They go to `folder/COLUMN=VALUE/name`; the column is not in the files. A part that is written
    again has the same files.
    """

    def __init__(
        self, folder: Path, name: str, column: str, make_writer: Callable[[BinaryIO], Writer]
    ) -> None:
        """Take the folder of the run and the name of the part's files."""
        self._folder = folder
        self._name = name
        self._column = column
        self._make_writer = make_writer
        self._records: dict[str, list[Record]] = {}

    def write(self, records: Iterable[Record]) -> None:
        """Take records."""
        for record in records:
            carried = dict(record.carried)
            folder = partition(self._column, carried.pop(self._column, None))
            rest = dataclasses.replace(record, carried=carried)
            self._records.setdefault(folder, []).append(rest)

    def close(self) -> None:
        """Write one file for every value."""
        for folder, records in self._records.items():
            target = self._folder / folder / self._name
            with atomic_file(target) as temporary, temporary.open("wb") as stream:
                writer = self._make_writer(stream)
                writer.write(records)
                writer.close()


def without_value(column: str, document: Document) -> list[str]:
    """Return, as a note, that a document has no value to partition by and where it is then."""
    if not _is_null(document.carried.get(column)):
        return []
    return [f"no value of {column!r}, so in the folder {partition(column, None)}"]


def unplaceable(column: str, document: Document) -> Problem | None:
    """Return the problem of a document whose value cannot be the name of a folder."""
    try:
        partition(column, document.carried.get(column))
    except InputError as error:
        return Problem(document.id, error.problem, error.remedy, raw=document.text)
    return None


def partition(column: str, value: object) -> str:
    """Return the name of a value's folder; raise InputError where it would be too long."""
    text = _NULL if _is_null(value) else str(value)
    name = f"{_escaped(column)}={_escaped(text)}"
    if len(name.encode("utf-8", "replace")) > _LONGEST:
        raise InputError(
            f"--partition-by {column}: the value {text[:60]!r}… is too long for a folder's name",
            "Partition by a field of short values, such as a date or an outlet.",
        )
    return name


def _is_null(value: object) -> bool:
    return value is None or value == ""


def _escaped(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return _ESCAPED.sub(lambda sign: f"%{ord(sign[0]):02X}", text)
