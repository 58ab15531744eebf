"""Files, folders and standard input to documents, one at a time."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal

from serving.errors import InputError, Problem, refusal
from serving.files.compression import DAMAGE, decompressed
from serving.files.encoding import decode, decoded_lines
from serving.files.recognise import recognise_kind
from serving.files.row import Row, listed, named
from serving.files.rows import damage, read_rows, unreadable
from serving.files.sources import Source
from serving.records import Document

Unit = Literal["document", "sentence"]

DEFAULT_ID_FIELD = "id"
DEFAULT_TEXT_FIELD = "text"


@dataclasses.dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file becomes documents.

    With the unit `sentence` every record, or every line of a text file, is a document of its own.
    `text_option` is what sets another text field, for error messages.
    """

    unit: Unit = "document"
    text_field: str = DEFAULT_TEXT_FIELD
    id_field: str = DEFAULT_ID_FIELD
    text_option: str = "--text-field"


class DocumentStream:
    """The documents of several sources in their order, read as they are asked for."""

    def __init__(self, sources: Sequence[Source], options: ReadOptions) -> None:
        """Take what `find_sources` returned; raise InputError for options without effect."""
        self.sources = sources
        self.options = options
        self._finished = 0
        self._file: BinaryIO | None = None
        if all(source.kind == "text" for source in sources):
            _check_options(", ".join(map(str, sources[:1])), options)

    @property
    def size(self) -> int | None:
        """How many bytes there are to read, as they are on disk; None with standard input."""
        if any(source.path is None for source in self.sources):
            return None
        return sum(source.size for source in self.sources)

    @property
    def position(self) -> int:
        """How many of these bytes have been read; standard input does not count."""
        return self._finished + (self._file.tell() if self._file else 0)

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents; raise InputError at the first bad one, naming file and line."""
        for source in self.sources:
            try:
                with source.open() as file:
                    self._file = file if source.path else None
                    for document in read_documents(source, file, self.options):
                        if isinstance(document, Problem):
                            raise refusal([document])
                        yield document
                    self._finished += file.tell() if source.path else 0
                    self._file = None
            except OSError as error:
                raise refusal([unreadable(source, error)]) from error


def read_documents(
    source: Source, file: BinaryIO, options: ReadOptions
) -> Iterator[Document | Problem]:
    """Yield the documents of `file`, the bytes of `source` as they are on disk. Raises OSError."""
    if source.kind is None:
        kind, file = recognise_kind(file, (options.text_field, options.id_field))
        if kind == "text":
            _check_options(str(source), options)
        source = dataclasses.replace(source, kind=kind)
    if source.kind == "text":
        yield from _texts(source, file, options.unit)
    else:
        columns = {options.text_field: f"Name the right one with {options.text_option}."}
        for row in read_rows(source, file, columns):
            yield row if isinstance(row, Problem) else _document(source, row, options)


def _check_options(name: str, options: ReadOptions) -> None:
    """Raise InputError if a field was named for plain text."""
    for field, default, option in (
        (options.text_field, DEFAULT_TEXT_FIELD, options.text_option),
        (options.id_field, DEFAULT_ID_FIELD, "--id-field"),
    ):
        if field != default:
            raise InputError(
                f"{name}: plain text, which has no field {field!r}",
                f"Leave {option} out, or name the format: rasd classify --input-format csv.",
            )


def _texts(source: Source, file: BinaryIO, unit: Unit) -> Iterator[Document | Problem]:
    """Yield a text file as one document, or every line of it that is not blank."""
    name = str(source)
    try:
        with decompressed(file, source.compression) as data:
            if unit == "document":
                text = decode(data.read(), name)
                yield text if isinstance(text, Problem) else Document(source.name, text)
                return
            for number, line in decoded_lines(data, name, source.span):
                if isinstance(line, Problem):
                    yield line
                elif line.strip():
                    yield Document(f"{source.name}:{number}", line.rstrip("\r\n"))
    except DAMAGE:
        yield damage(source)


def _document(source: Source, row: Row, options: ReadOptions) -> Document | Problem:
    """Make the document of one record; the fields that are neither id nor text are its metadata."""
    fields = row.fields
    if options.text_field not in fields:
        return _missing(row, options.text_field, options.text_option)
    text = fields[options.text_field]
    if not isinstance(text, str):
        return row.problem(
            f"the field {options.text_field!r} is {named(text)}, "
            f"not a string; the fields are {listed(fields)}",
            f"Give every record a text, or name another field with {options.text_option}.",
        )
    identifier = fields.get(options.id_field)
    if isinstance(identifier, list | dict):
        return row.problem(
            f"the field {options.id_field!r} is {named(identifier)}, not a string",
            "Name a field of strings or numbers with --id-field.",
        )
    if identifier is None or identifier == "":
        # Only a field that was asked for by name must be there.
        if options.id_field != DEFAULT_ID_FIELD and options.id_field not in fields:
            return _missing(row, options.id_field, "--id-field")
        identifier = f"{source.name}:{row.number}"
    used = (options.text_field, options.id_field)
    return Document(
        identifier if isinstance(identifier, str) else json.dumps(identifier),
        text,
        {name: value for name, value in fields.items() if name not in used},
    )


def _missing(row: Row, field: str, option: str) -> Problem:
    return row.problem(
        f"no field {field!r}; the fields are {listed(row.fields)}",
        f"Name the right one with {option}.",
    )
