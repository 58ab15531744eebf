"""Files, folders and standard input to documents, one at a time."""

import csv
import gzip
import json
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal

from serving.errors import InputError
from serving.files.cells import read_cells
from serving.files.encoding import decode, decoded_lines
from serving.records import Document

Unit = Literal["document", "sentence"]
Kind = Literal["text", "jsonl", "csv"]

KINDS: dict[str, Kind] = {".txt": "text", ".jsonl": "jsonl", ".csv": "csv"}
COMPRESSED = (".gz", ".xz")
SUPPORTED = (
    "Supported: .txt, .jsonl and .csv, each also as .gz or .xz; folders of them; - for stdin."
)

DEFAULT_ID_FIELD = "id"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file becomes documents.

    With the unit `sentence` every record, or every line of a text file, is a document of its own.
    `text_option` is what a person sets to name another text field, for error messages.
    """

    unit: Unit = "document"
    text_field: str = "text"
    id_field: str = DEFAULT_ID_FIELD
    text_option: str = "--text-field"


@dataclass(frozen=True, slots=True)
class Source:
    """One input file; `path` and `kind` are None for standard input.

    `name` is the id of a text file's document and the beginning of the ids that records lack.
    `compression` is one of COMPRESSED, or None.
    """

    path: Path | None
    name: str
    kind: Kind | None
    compression: str | None = None

    def __str__(self) -> str:
        """Return the name that error messages use."""
        return "standard input" if self.path is None else str(self.path)


def find_sources(inputs: Sequence[str]) -> list[Source]:
    """Return the files that `inputs` name, folders searched; nothing is read yet.

    Raises InputError for an input that is missing, unreadable or of an unknown suffix, and for a
    folder without a supported file.
    """
    sources: list[Source] = []
    for name in inputs:
        path = Path(name)
        if name == "-":
            sources.append(Source(None, "stdin", None))
        elif not name or not path.exists():
            raise InputError(f"{name or repr(name)}: no such file or folder", SUPPORTED)
        elif path.is_dir():
            sources += _search(path)
        else:
            source = _recognise(path, name)
            if source is None:
                kind = path.suffix or "no suffix"
                raise InputError(f"{name}: cannot read this kind of file ({kind})", SUPPORTED)
            sources.append(source)
    for source in sources:
        if source.path is not None and not os.access(source.path, os.R_OK):
            raise InputError(f"{source}: may not be read", "Check the file's permissions.")
    return sources


class DocumentStream:
    """The documents of several sources in their order, read as they are asked for."""

    def __init__(self, sources: Sequence[Source], options: ReadOptions) -> None:
        """Take what `find_sources` returned."""
        self._sources = sources
        self._options = options
        self._finished = 0
        self._file: BinaryIO | None = None

    @property
    def size(self) -> int | None:
        """How many bytes there are to read, as they lie on disk; None with standard input."""
        if any(source.path is None for source in self._sources):
            return None
        return sum(source.path.stat().st_size for source in self._sources if source.path)

    @property
    def position(self) -> int:
        """How many of these bytes have been read; standard input does not count."""
        return self._finished + (self._file.tell() if self._file else 0)

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents; raise InputError at the first bad one, naming file and line."""
        for source in self._sources:
            with _explained(source):
                if source.path is None:
                    yield from _documents(source, sys.stdin.buffer, self._options)
                    continue
                with source.path.open("rb") as file:
                    self._file = file
                    lines = _decompressed(file, source.compression)
                    yield from _documents(source, lines, self._options)
                    self._finished += file.tell()
                    self._file = None


def _search(folder: Path) -> list[Source]:
    """Return the supported files under `folder` in the order of their paths, hidden ones left out.

    Ids are relative to the folder, with forward slashes on every system.
    """

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: may not be read", "Check the folder's permissions.")

    paths: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    paths.sort()
    found = [_recognise(path, path.relative_to(folder).as_posix()) for path in paths]
    sources = [source for source in found if source is not None]
    if not sources:
        raise InputError(f"{folder}: no supported file in this folder", SUPPORTED)
    others = {path.suffix or "no suffix" for path, one in zip(paths, found, strict=True) if not one}
    if others:
        count = len(found) - len(sources)
        kinds = ", ".join(sorted(others))
        sys.stderr.write(f"rasd: {folder}: left out files of other kinds: {count:,} ({kinds})\n")
    return sources


def _recognise(path: Path, name: str) -> Source | None:
    suffix = path.suffix.lower()
    compression = suffix if suffix in COMPRESSED else None
    kind = KINDS.get((path.with_suffix("") if compression else path).suffix.lower())
    return Source(path, name, kind, compression) if kind else None


def _decompressed(file: BinaryIO, compression: str | None) -> Iterable[bytes]:
    """Return the lines of `file`; what is no whole archive raises one of gzip's errors."""
    if compression == ".gz":
        return gzip.GzipFile(fileobj=file)
    return _xz_lines(file) if compression == ".xz" else file


def _xz_lines(file: BinaryIO) -> Iterator[bytes]:
    import lzma  # only here: there are Pythons that were built without it

    try:
        with lzma.open(file) as lines:
            yield from lines
    except lzma.LZMAError as error:
        raise EOFError(str(error)) from error


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    """Turn what reading and unpacking `source` raises into InputError."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        program = "xz" if source.compression == ".xz" else "gzip"
        raise InputError(
            f"{source}: not a whole {program} file",
            f"Copy it again, or take {source.compression} off the name of a file that is not "
            f"compressed; `{program} -t` checks it.",
        ) from error
    except OSError as error:
        raise InputError(
            f"{source}: cannot be read ({error.strerror})", "Check the file and its disk."
        ) from error


def _documents(source: Source, lines: Iterable[bytes], options: ReadOptions) -> Iterator[Document]:
    kind = source.kind
    if kind is None:
        kind, lines = _sniff(lines)
    if kind == "jsonl":
        yield from _jsonl_documents(source, lines, options)
    elif kind == "csv":
        yield from _csv_documents(source, lines, options)
    elif options.unit == "sentence":
        for number, line in decoded_lines(lines, str(source)):
            if line.strip():
                yield Document(f"{source.name}:{number}", line.rstrip("\r\n"))
    else:
        yield Document(source.name, decode(b"".join(lines), str(source)))


def _sniff(lines: Iterable[bytes]) -> tuple[Kind, Iterable[bytes]]:
    """Tell JSON Lines, whose first sign is `{`, from plain text; return the lines untouched."""
    lines = iter(lines)
    head: list[bytes] = []
    for line in lines:
        head.append(line)
        if line.strip():
            break
    first = decode(head[-1], "standard input") if head else ""
    return "jsonl" if first.lstrip().startswith("{") else "text", chain(head, lines)


def _jsonl_documents(
    source: Source, lines: Iterable[bytes], options: ReadOptions
) -> Iterator[Document]:
    for number, line in decoded_lines(lines, str(source)):
        if not line.strip():
            continue
        remedy = "Give one JSON object a line."
        if line.lstrip().startswith("["):
            remedy = "Give one JSON object a line; of an array: jq -c '.[]' OLD > NEW"
        try:
            record = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            problem = f"{source}: line {number}, column {error.colno}: not JSON: {error.msg}"
            raise InputError(problem, remedy) from error
        except (ValueError, RecursionError) as error:  # numbers too long, brackets too deep
            raise InputError(f"{source}: line {number}: not JSON: {error}", remedy) from error
        if not isinstance(record, dict):
            raise InputError(f"{source}: line {number}: {_named(record)}, not an object", remedy)
        yield _document(source, number, record, options)


def _csv_documents(
    source: Source, lines: Iterable[bytes], options: ReadOptions
) -> Iterator[Document]:
    rows = read_cells(line for _, line in decoded_lines(lines, str(source)))
    header: list[str] = []
    while True:
        number = rows.line_num + 1  # where the row begins: it may span several lines
        try:
            row = next(rows, None)
        except csv.Error as error:
            raise InputError(
                f"{source}: line {number}: not CSV: {error}",
                'Write "" for a quote sign in a quoted cell.',
            ) from error
        if row is None:
            return
        if not header:
            header = row
            if row and options.text_field not in row:
                raise _missing(source, number, options.text_field, row, options.text_option)
        elif row and len(row) != len(header):
            raise InputError(
                f"{source}: line {number}: {len(row)} cells, the header has {len(header)}",
                "Quote every cell that holds the separator, a quote sign or a line break.",
            )
        elif row:
            yield _document(source, number, dict(zip(header, row, strict=True)), options)


def _document(source: Source, line: int, fields: dict[str, Any], options: ReadOptions) -> Document:
    """Make the document of one record; the fields that are neither id nor text are its metadata."""
    if options.text_field not in fields:
        raise _missing(source, line, options.text_field, fields, options.text_option)
    text = fields[options.text_field]
    if not isinstance(text, str):
        raise InputError(
            f"{source}: line {line}: the field {options.text_field!r} is {_named(text)}, "
            f"not a string; the fields are {_listed(fields)}",
            f"Give every record a text, or name another field with {options.text_option}.",
        )
    metadata = {
        name: value
        for name, value in fields.items()
        if name not in (options.text_field, options.id_field)
    }
    return Document(_identifier(source, line, fields, options.id_field), text, metadata)


def _identifier(source: Source, line: int, fields: dict[str, Any], field: str) -> str:
    """Return the record's id, or `name:line` where it has none."""
    value = fields.get(field)
    if isinstance(value, list | dict):
        raise InputError(
            f"{source}: line {line}: the field {field!r} is {_named(value)}, not a string",
            "Name a field of strings or numbers with --id-field.",
        )
    if value is not None and value != "":
        return value if isinstance(value, str) else json.dumps(value)
    if field != DEFAULT_ID_FIELD and field not in fields:  # it was asked for by name
        raise _missing(source, line, field, fields, "--id-field")
    return f"{source.name}:{line}"


def _missing(
    source: Source, line: int, field: str, fields: Iterable[str], option: str
) -> InputError:
    return InputError(
        f"{source}: line {line}: no field {field!r}; the fields are {_listed(fields)}",
        f"Name the right one with {option}.",
    )


def _listed(fields: Iterable[str]) -> str:
    return ", ".join(map(repr, fields)) or "none"


def _named(value: object) -> str:
    """Return what JSON calls the type of `value`."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds: dict[type, str] = {dict: "an object", list: "an array", str: "a string"}
    return kinds.get(type(value), "a number")
