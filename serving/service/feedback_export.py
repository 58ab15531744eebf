"""`rasd feedback export`: the corrections as a labelled file."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.atomic import atomic_file
from serving.errors import InputError
from serving.terminal import counted, tell

if TYPE_CHECKING:
    from serving.feedback import StoredCorrection


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A line of the file: the fields that `rasd train` reads, then what the annotator did."""

    text: str
    label: str
    id: str
    source: str
    date: str
    annotator: str | None
    caller: str | None
    predicted: str
    model: str
    note: str | None

    @classmethod
    def of(cls, correction: "StoredCorrection") -> "LabelledRow":
        """Return the row of a correction; `caller` is the name of the API key.

        It also stands in for a missing annotator's name.
        """
        return cls(
            correction.text,
            correction.label,
            id=f"feedback-{correction.id}",
            source="feedback",
            date=correction.updated.isoformat(timespec="seconds"),
            annotator=correction.annotator or correction.caller or None,
            caller=correction.caller or None,
            predicted=correction.predicted,
            model=correction.model,
            note=correction.note,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields that have a value."""
        values = ((name, getattr(self, name)) for name in COLUMNS)
        return {name: value for name, value in values if value is not None}


COLUMNS = tuple(column.name for column in fields(LabelledRow))


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line."""
    actions = subparsers.add_parser(
        "feedback",
        help="export the corrections that users made on the web page or over HTTP",
        description="Export the corrections that users made on the web page or over HTTP.",
    ).add_subparsers(dest="action", metavar="ACTION", required=True)
    parser = actions.add_parser(
        "export",
        help="write the corrections as a labelled file",
        description="Write every correction that the service has stored, oldest first, as a "
        "labelled file for `rasd train` and `rasd evaluate`.",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .jsonl or .csv file, written atomically",
    )
    parser.add_argument(
        "--raw-csv",
        action="store_true",
        help="write CSV cells that a spreadsheet would run as formulas without the apostrophe that "
        "prevents it",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--database", metavar="URL", help="the database (default: sqlite:///feedback.db)"
    )
    place.add_argument(
        "--config", type=Path, metavar="FILE", help="the service's configuration, which names it"
    )
    parser.set_defaults(run=export)


def export(options: argparse.Namespace) -> int:
    """Write every correction to `options.output`; raise InputError and write nothing."""
    from serving.feedback import open_store
    from serving.files.writers import CsvWriter, JsonLinesWriter
    from serving.service.config import load_config

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
    written = 0

    def rows() -> Iterator[LabelledRow]:
        nonlocal written
        for correction in store.corrections():
            written += 1
            yield LabelledRow.of(correction)

    try:
        with atomic_file(output.resolve()) as temporary, temporary.open("wb") as stream:
            writer = (
                JsonLinesWriter(stream)
                if form == ".jsonl"
                else CsvWriter(stream, byte_order_mark=True, columns=COLUMNS, raw=options.raw_csv)
            )
            writer.write(rows())
            writer.close()
    except OSError as error:
        raise InputError(
            f"{output}: cannot be written ({error.strerror})",
            "Free space on its disk, or name another file with --output.",
        ) from error
    finally:
        store.close()
    tell(f"{output}: {counted(written, 'correction')}")
    return 0
