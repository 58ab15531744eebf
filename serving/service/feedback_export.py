"""`rasd feedback export`: the corrections as a labelled file."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from serving.atomic import atomic_file
from serving.errors import InputError
from serving.feedback import StoredCorrection, open_store
from serving.files.writers import csv_lines, json_lines
from serving.service.config import load_config

# The fields that the training room reads, then what tells an annotator's work apart.
COLUMNS = ("text", "label", "id", "source", "date", "annotator", "predicted", "model", "note")


def export(options: argparse.Namespace) -> int:
    """Write every correction to `options.output`; raise InputError and write nothing."""
    output: Path = options.output
    form = output.suffix.lower()
    if form not in (".jsonl", ".csv"):
        raise InputError(
            f"{output}: its suffix {output.suffix!r} names no labelled file",
            "End it with .jsonl or .csv.",
        )
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}", "Make it first.")
    database = options.database or load_config(options.config, {}).feedback.database
    if database is None:
        raise InputError(
            f"{options.config}: feedback.database is null", "Name the database with --database."
        )
    store = open_store(database, create=False)
    counted = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal counted
        for correction in store.corrections():
            counted += 1
            yield _row(correction)

    try:
        with atomic_file(output.resolve()) as temporary, temporary.open("wb") as stream:
            stream.writelines(
                json_lines(rows())
                if form == ".jsonl"
                else csv_lines(rows(), byte_order_mark=True, columns=COLUMNS)
            )
    finally:
        store.close()
    sys.stderr.write(f"rasd: {output}: {counted:,} correction{'s' * (counted != 1)}\n")
    return 0


def _row(correction: StoredCorrection) -> dict[str, Any]:
    """Return one line of the file; an annotator who gave no name goes by the API key's."""
    values: dict[str, Any] = {
        "text": correction.text,
        "label": correction.label,
        "id": f"feedback-{correction.id}",
        "source": "feedback",
        "date": correction.updated.date().isoformat(),
        "annotator": correction.annotator or correction.caller or None,
        "predicted": correction.predicted,
        "model": correction.model,
        "note": correction.note,
    }
    return {name: value for name, value in values.items() if value is not None}
