"""Where `rasd classify` writes: the format, and whether the output can be written at all."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from serving.archive.parts import rejected_file
from serving.errors import InputError
from serving.files.sources import Source

FORMATS = {
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl.gz",
    ".jsonl.zst": "jsonl.zst",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "table",
}


def format_for(output: Path | None) -> str:
    """Return the format that the suffix of an output names, or that fits standard output."""
    if output is None:
        return "table" if sys.stdout.isatty() else "jsonl"
    for suffix in ("".join(output.suffixes[-2:]).lower(), output.suffix.lower()):
        if suffix in FORMATS:
            return FORMATS[suffix]
    raise InputError(
        f"{output}: its suffix {output.suffix!r} names no format",
        f"End the name with {', '.join(FORMATS)} (a table), or give --format.",
    )


def parts_folder(output: Path, *, in_parts: bool) -> Path:
    """Return the folder of the parts of a run: the output itself, or one beside it."""
    return output if in_parts else output.with_name(f"{output.name}.parts")


def without_own(sources: Sequence[Source], output: Path, *, in_parts: bool) -> list[Source]:
    """Return the sources that are not the run's own parts or rejects, as in `classify . -o DIR/`.

    Raises InputError where nothing is left.
    """
    parts = parts_folder(output, in_parts=in_parts).resolve()
    rejected = rejected_file(output.resolve())
    folders = {path.parent: path.parent.resolve() for source in sources if (path := source.path)}

    def is_own(path: Path) -> bool:
        folder = folders[path.parent]
        return folder.is_relative_to(parts) or folder / path.name == rejected

    others = [source for source in sources if not (source.path and is_own(source.path))]
    if not others:
        raise InputError(f"{output}: its own parts are the only input", "Name another output.")
    return others


def check_partition(column: str, carry: Sequence[str], *, in_parts: bool) -> None:
    """Raise InputError if the output cannot be split by the values of this field."""
    if not in_parts:
        raise InputError("--partition-by needs a folder of parts", "Write -o DIR/.")
    if column not in carry and "all" not in carry:
        raise InputError(
            f"--partition-by {column}: this field is not carried", f"Add --carry {column}."
        )


def check_output(output: Path, sources: Sequence[Source], *, in_parts: bool) -> None:
    """Raise InputError if nothing can be written to an output, or something would be lost."""
    if in_parts:
        if output.is_dir() and any(output.iterdir()) and not (output / "run.json").is_file():
            raise InputError(
                f"{output}: holds something other than a run's parts", "Name a new folder."
            )
    elif output.exists() and not output.is_file():
        kind = "a folder" if output.is_dir() else "a device or a pipe"
        raise InputError(f"{output}: is {kind}, not a file", "Name a file, or leave -o out.")
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}", "Make it first.")
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"{output}: the folder may not be written to", "Name another folder.")
    for source in sources:
        if output.is_file() and source.path and output.samefile(source.path):
            raise InputError(
                f"{output}: is also an input, and would be overwritten", "Name another file."
            )
