"""Which files the inputs of a command name, and what form each has."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, get_args

from serving.errors import InputError
from serving.files.compression import PROGRAMS
from serving.regular_file import open_regular
from serving.terminal import tell

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Kind = Literal["text", "jsonl", "json", "csv", "tsv"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SUFFIXES: dict[str, Kind] = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
}
# Arabic news, compressed, becomes about a quarter.
EXPANSION = 4
SUPPORTED = (
    f"Supported: {', '.join(SUFFIXES)}, each also as {' or '.join(PROGRAMS)}; folders of them; "
    "- for stdin."
)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `end` of a file, which begin at the start of line `line`, counted from 1.

    `head` is the beginning of a table up to the end of its header.
    """

    start: int
    end: int
    line: int
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Source:
    """One input file, or a span of it.

    `path` is None for standard input; `kind` is None where its first lines must show it. `name` is
    the id of a text file's document and the beginning of the ids that records lack. `compression`
    is one of PROGRAMS, or None.
    """

    path: Path | None
    name: str
    kind: Kind | None
    compression: str | None = None
    span: Span | None = None

    @property
    def size(self) -> int:
        """The bytes to read as they are on disk; 0 for standard input and for what is not there."""
        if self.span:
            return self.span.end - self.span.start
        try:
            return self.path.stat().st_size if self.path else 0
        except OSError:
            return 0

    @property
    def expansion(self) -> int:
        """How many bytes of text a byte on disk becomes: the time to label follows the text."""
        return EXPANSION if self.compression else 1

    @property
    def work(self) -> int:
        """The bytes of text, about."""
        return self.size * self.expansion

    @property
    def separator(self) -> str | None:
        """What separates the cells of a table, if its name says so."""
        return "\t" if self.kind == "tsv" else None

    def __str__(self) -> str:
        """Return the name that error messages use."""
        return "standard input" if self.path is None else str(self.path)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Give the bytes as they are on disk. Raises OSError."""
        if self.path is None:
            yield sys.stdin.buffer
        else:
            with open_regular(self.path) as file:
                yield io.BufferedReader(_SpanReader(file, self.span)) if self.span else file


class _SpanReader(io.RawIOBase):
    """Reads a span of a file; positions count from its start."""

    def __init__(self, file: BinaryIO, span: Span) -> None:
        file.seek(span.start)
        self._file = file
        self._span = span

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        left = self._span.end - self._file.tell()
        block = self._file.read(min(left, len(view)))
        view[: len(block)] = block
        return len(block)

    def tell(self) -> int:
        return self._file.tell() - self._span.start


def find_sources(inputs: Sequence[str], kind: Kind | None = None) -> list[Source]:
    """Return the files that `inputs` name, folders searched; nothing is read yet.

    With `kind` every file has that form, whatever its name. Raises InputError for an input that is
    missing, unreadable or of an unknown suffix, and for a folder without a supported file.
    """
    sources: list[Source] = []
    for name in inputs:
        path = Path(name)
        if name == "-":
            sources.append(Source(None, "stdin", kind))
        elif not name or not path.exists():
            raise InputError(f"{name or repr(name)}: no such file or folder", SUPPORTED)
        elif path.is_dir():
            sources += _search(path, kind)
        else:
            source = recognise(path, name, kind)
            if source.kind is None:
                problem = f"{name}: cannot read this kind of file ({suffix_of(path)})"
                raise InputError(problem, f"{SUPPORTED} --input-format names the format.")
            sources.append(source)
    for source in sources:
        if source.path is not None and not os.access(source.path, os.R_OK):
            raise InputError(f"{source}: may not be read", "Check the file's permissions.")
        if source.path is not None and not source.path.is_file():
            raise InputError(
                f"{source}: not a regular file",
                "Name a file, or send the text to standard input: rasd classify - < FILE",
            )
    return sources


def recognise(path: Path, name: str, kind: Kind | None = None) -> Source:
    """Return a file as a source; without `kind` its suffix decides, and may be unknown (None)."""
    last = path.suffix.lower()
    compression = last if last in PROGRAMS else None
    inner = path.with_suffix("") if compression else path
    return Source(path, name, kind or SUFFIXES.get(inner.suffix.lower()), compression)


def suffix_of(path: Path) -> str:
    """Return a file's suffix for an error message: `.docx`, `.docx.gz` or `no suffix`."""
    compressed = path.suffix.lower() in PROGRAMS
    inner = path.with_suffix("").suffix if compressed else ""
    return inner + path.suffix or "no suffix"


def _search(folder: Path, kind: Kind | None) -> list[Source]:
    """Return the supported files under `folder` in the order of their paths, hidden ones left out.

    Ids are relative to the folder, with forward slashes on every system.
    """

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: may not be read", "Check the folder's permissions.")

    paths: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    supported = [path for path in sorted(paths) if recognise(path, "").kind]
    if not supported:
        raise InputError(f"{folder}: no supported file in this folder", SUPPORTED)
    if others := set(paths).difference(supported):
        kinds = ", ".join(sorted({suffix_of(path) for path in others}))
        tell(f"{folder}: skipped files of other kinds: {len(others):,} ({kinds})")
    return [recognise(path, path.relative_to(folder).as_posix(), kind) for path in supported]
