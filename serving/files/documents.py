"""Files, folders and standard input to documents, one at a time."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from serving.errors import InputError, Problem, refusal
from serving.files.compression import BadFile, decompressed
from serving.files.containers import members
from serving.files.encoding import decode, decoded_lines
from serving.files.fields import (
    ALL,
    DEFAULT_ID_FIELD,
    DOCUMENT_TEXT,
    ReadOptions,
    Unit,
    document_of,
    finished,
)
from serving.files.lines import lines
from serving.files.recognise import recognise_kind
from serving.files.row import MAX_RECORD, RAW_OF_LONG, too_long
from serving.files.rows import damage, read_rows, unreadable
from serving.files.sources import Source
from serving.records import Document


class DocumentStream:
    """The documents of several sources in their order, read as they are asked for.

    `notes` counts what reading did to the documents so far.
    """

    def __init__(self, sources: Sequence[Source], options: ReadOptions) -> None:
        """Take what `find_sources` returned; raise InputError for options without effect."""
        self.sources = sources
        self.options = options
        self.notes: Counter[str] = Counter()
        self._finished = 0
        self._file: BinaryIO | None = None
        if all(source.kind == "text" for source in sources):
            _check_options(", ".join(map(str, sources[:1])), options)

    @property
    def size(self) -> int | None:
        """How many bytes there are to read, as they are on disk; None with standard input."""
        if any(source.place is None for source in self.sources):
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
                    self._file = file if source.place else None
                    for document in read_documents(source, file, self.options):
                        if isinstance(document, Document):
                            self.notes.update(document.notes)
                            yield document
                        elif document.warning:
                            self.notes[document.what] += 1
                        else:
                            raise refusal([document])
                    self._finished += file.tell() if source.place else 0
                    self._file = None
            except OSError as error:
                raise refusal([unreadable(source, error)]) from error


def read_documents(
    source: Source, file: BinaryIO, options: ReadOptions
) -> Iterator[Document | Problem]:
    """Yield the documents of `file`, the bytes of `source` as they are on disk. Raises OSError."""
    if source.kind is None:
        kind, file = recognise_kind(file, (*options.text_names, options.id_field))
        if kind == "text":
            _check_options(str(source), options)
        source = dataclasses.replace(source, kind=kind)
    if source.kind in ("zip", "tar"):
        for member in members(source, file):
            if isinstance(member, Problem):
                yield member
            else:
                yield from read_documents(*member, options)
    elif source.kind == "text":
        for text in _texts(source, file, options.unit):
            if isinstance(text, Problem):
                yield text
            else:
                carried = dict.fromkeys(set(options.carry) - {ALL, DOCUMENT_TEXT})
                yield finished(dataclasses.replace(text, carried=carried), options)
    else:
        for row in read_rows(source, file, [options.wanted]):
            yield row if isinstance(row, Problem) else document_of(source.name, row, options)


def _check_options(name: str, options: ReadOptions) -> None:
    """Raise InputError if a field was named for plain text."""
    carried = [field for field in options.carry if field != DOCUMENT_TEXT]
    for field, default, option in (
        (options.text_field or "text", "text", options.text_option),
        (options.id_field, DEFAULT_ID_FIELD, "--id-field"),
        (options.title_field, None, "--title-field"),
        (carried[0] if carried else None, None, "--carry"),
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
        data = decompressed(file, source.compression)
        if unit == "document":
            raw = data.read(MAX_RECORD + 1)
            if len(raw) > MAX_RECORD:
                yield too_long(name, None, len(raw), raw[:RAW_OF_LONG].decode(errors="replace"))
                return
            text = decode(raw, name)
            yield text if isinstance(text, Problem) else Document(source.name, text)
            return
        for number, line in decoded_lines(lines(data), name, source.span):
            if isinstance(line, Problem):
                yield line
            elif line.strip():
                yield Document(f"{source.name}:{number}", line.rstrip("\r\n"))
    except BadFile as error:
        yield damage(source, error)
