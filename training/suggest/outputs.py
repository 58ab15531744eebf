"""Suggested sentences as Label Studio tasks, CSV or JSON Lines."""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.atomic import atomic_file
from serving.errors import InputError
from serving.files.writers import CsvWriter, JsonLinesWriter
from serving.label_studio import Control, suggested_control, write_configuration
from serving.labels import LabelScheme
from serving.records import Record


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """A sentence whose label is for a person to fill in.

    The model's label is not in `label`, or an untouched file would pass for a labelled one.
    """

    id: str
    text: str
    label: str
    suggested: str | None
    probability: float | None
    model: str

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def write(records: Sequence[Record], scheme: LabelScheme, target: Path) -> list[Path]:
    """Write the records in the format of `check_output`; return the files, each whole or absent."""
    if target.suffix.lower() != ".json":
        return [_write_rows(records, target)]
    control = suggested_control(scheme)
    tasks = json.dumps([_task(record, control) for record in records], ensure_ascii=False, indent=1)
    return [
        _replace(target, tasks + "\n"),
        _replace(target.with_suffix(".xml"), write_configuration(scheme)),
    ]


def check_output(target: Path, inputs: Sequence[Path]) -> None:
    """Raise InputError if nothing can be written to `target`, or only over one of `inputs`."""
    if target.suffix.lower() not in {".json", ".csv", ".jsonl"}:
        raise InputError(
            f"{target}: its suffix {target.suffix!r} names no format",
            "End the name with .json (Label Studio tasks), .csv or .jsonl.",
        )
    if target.is_dir():
        raise InputError(f"{target}: is a folder, not a file", "Name a file.")
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}", "Make it first.")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target}: the folder may not be written to", "Name another folder.")
    if target.resolve() in {path.resolve() for path in inputs}:
        raise InputError(f"{target}: is also an input, and would be overwritten", "Name another.")


def _task(record: Record, control: Control) -> dict[str, Any]:
    """Return a Label Studio task whose prediction the annotator sees as the first choice."""
    return {
        "data": {
            "id": _id(record),
            control.key: record.text,
            "doc_id": record.doc_id,
            "start": record.start,
            "end": record.end,
        },
        "predictions": [
            {
                "model_version": record.model,
                "score": record.probability,
                "result": control.result(record.label) if record.label else [],
            }
        ],
    }


def _write_rows(records: Sequence[Record], target: Path) -> Path:
    columns = [field.name for field in dataclasses.fields(_Row)]
    with atomic_file(target.resolve()) as temporary, temporary.open("wb") as stream:
        writer = (
            CsvWriter(stream, byte_order_mark=True, columns=columns)
            if target.suffix.lower() == ".csv"
            else JsonLinesWriter(stream)
        )
        writer.write(
            _Row(_id(record), record.text, "", record.label, record.probability, record.model)
            for record in records
        )
        writer.close()
    return target


def _id(record: Record) -> str:
    return f"{record.doc_id}#{record.sentence}"


def _replace(target: Path, text: str) -> Path:
    with atomic_file(target.resolve()) as temporary:
        # Half a surrogate pair becomes an escape, which JSON reads back.
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    return target
