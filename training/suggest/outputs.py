"""Suggested sentences as Label Studio tasks, CSV or JSON Lines."""

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.atomic import atomic_file
from serving.errors import InputError
from serving.files.csv_cells import neutral
from serving.label_studio import Control, suggested_control, write_configuration
from serving.labels import LabelScheme
from serving.records import Record


def write(records: Sequence[Record], scheme: LabelScheme, target: Path) -> list[Path]:
    """Write the records in the format of `check_output`; return the files, each whole or absent."""
    if target.suffix.lower() != ".json":
        form = _csv if target.suffix.lower() == ".csv" else _json_lines
        return [_replace(target, form([_row(record) for record in records]))]
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


def _row(record: Record) -> dict[str, Any]:
    """Return a row whose label is for a person to fill in.

    The model's label is not in `label`, or an untouched file would pass for a labelled one.
    """
    return {
        "id": _id(record),
        "text": record.text,
        "label": "",
        "suggested": record.label,
        "probability": record.probability,
        "model": record.model,
    }


def _id(record: Record) -> str:
    return f"{record.doc_id}#{record.sentence}"


def _json_lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    lines = io.StringIO()
    columns = list(rows[0]) if rows else []
    writer = csv.DictWriter(lines, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({k: neutral(v) if isinstance(v, str) else v for k, v in row.items()})
    return "\ufeff" + lines.getvalue()  # Excel needs the byte order mark to read Arabic


def _replace(target: Path, text: str) -> Path:
    with atomic_file(target.resolve()) as temporary:
        # Half a surrogate pair becomes an escape, which JSON reads back.
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
    return target
