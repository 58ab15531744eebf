"""Which files the inputs of a command name, and what form each has."""

import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal, get_args

from serving.errors import InputError
from serving.files import urls
from serving.files.compression import PROGRAMS
from serving.regular_file import open_regular
from serving.terminal import tell

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Kind = Literal[
    "text",
    "jsonl",
    "json",
    "csv",
    "tsv",
    "parquet",
    "arrow",
    "xlsx",
    "html",
    "warc",
    "zip",
    "tar",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

SUFFIXES: dict[str, Kind] = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".xlsx": "xlsx",
    ".html": "html",
    ".htm": "html",
    ".warc": "warc",
    ".zip": "zip",
    ".tar": "tar",
}
# Names of their own for a compressed tar.
_TARS = {".tgz": ".gz", ".txz": ".xz", ".tbz2": ".bz2", ".tzst": ".zst"}
# Arabic news, compressed, becomes about a quarter.
EXPANSION = 4
SUPPORTED = (
    f"Supported: {', '.join(SUFFIXES)}, each also as {' or '.join(PROGRAMS)}; folders of them; "
    "- for stdin; URLs."
)
_CHECK_NAME = "Check its name, and whether you are in the right folder."
# How to make a file that can be read of one that cannot.
_FROM_WORD = "Save it as plain text (.txt) in UTF-8 with the program that wrote it."
_CONVERSIONS = {
    ".pdf": "Take the text out of it: pdftotext -enc UTF-8 FILE.pdf FILE.txt.",
    ".doc": _FROM_WORD,
    ".docx": _FROM_WORD,
    ".odt": _FROM_WORD,
    ".rtf": _FROM_WORD,
    ".ods": "Save it as .xlsx or .csv.",
    ".xls": "Save it as .xlsx or .csv.",
}


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
class RowGroups:
    """The row groups `first` to `end` of a Parquet file, of `size` bytes."""

    first: int
    end: int
    size: int


@dataclass(frozen=True, slots=True)
class Source:
    """One input file, or a piece of it.

    `place` is its path or URL, None for standard input. `name` is the id of a text file's document
    and the beginning of the ids that records lack. `kind` is None where the first lines must show
    it. `compression` is one of PROGRAMS, or None. A `member` is inside of the zip or tar file
    `place`. A `span` or `groups` are a piece of the file.
    """

    place: Path | str | None
    name: str
    kind: Kind | None
    compression: str | None = None
    span: Span | None = None
    groups: RowGroups | None = None
    member: str | None = None

    @property
    def path(self) -> Path | None:
        """Its path on this machine, if it has one."""
        return self.place if isinstance(self.place, Path) else None

    @property
    def size(self) -> int:
        """The bytes to read as they are on disk; 0 for standard input and for what is not there."""
        if self.span:
            return self.span.end - self.span.start
        if self.groups:
            return self.groups.size
        return self.state[0]

    @property
    def state(self) -> tuple[int, int | str]:
        """Its size in bytes, and what differs once it was changed; zeros for what is not there."""
        if isinstance(self.place, str):
            return urls.state(self.place)
        try:
            found = self.place.stat() if self.place else None
        except OSError:
            found = None
        return (found.st_size, found.st_mtime_ns) if found else (0, 0)

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
        place = "standard input" if self.place is None else str(self.place)
        return place if self.member is None else f"{place}/{self.member}"

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Give the bytes as they are on disk. Raises OSError."""
        if self.place is None:
            if sys.stdin is None:
                raise OSError(errno.EBADF, "it is closed")
            yield sys.stdin.buffer
            return
        opened = (
            urls.opened(self.place) if isinstance(self.place, str) else open_regular(self.place)
        )
        with opened as file:
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
        elif urls.is_url(name):
            sources += _at_url(name, kind)
        elif not name or not path.exists():
            raise InputError(f"{name or repr(name)}: no such file or folder", _CHECK_NAME)
        elif path.is_dir():
            sources += _search(path, kind)
        else:
            source = recognise(path, name, kind)
            if source.kind is None:
                problem = f"{name}: cannot read this kind of file ({suffix_of(path)})"
                remedy = f"{_supported_instead({path})} If its name is wrong, use --input-format."
                raise InputError(problem, remedy)
            if not os.access(path, os.R_OK):
                raise InputError(f"{source}: may not be read", "Check the file's permissions.")
            if not path.is_file():
                raise InputError(
                    f"{source}: not a regular file",
                    "Name a file, or send the text to standard input: rasd classify - < FILE",
                )
            sources.append(source)
    return sources


def recognise(path: Path, name: str, kind: Kind | None = None) -> Source:
    """Return a file as a source; without `kind` its suffix decides, and may be unknown (None)."""
    found, compression = form_of(path.name)
    return Source(path, name, kind or found, compression)


def form_of(name: str) -> tuple[Kind | None, str | None]:
    """Return the kind that a name's suffixes show, and its compression."""
    path = PurePosixPath(name)
    last = path.suffix.lower()
    if last in _TARS:
        return "tar", _TARS[last]
    compression = last if last in PROGRAMS else None
    inner = path.with_suffix("") if compression else path
    return SUFFIXES.get(inner.suffix.lower()), compression


def _supported_instead(paths: Iterable[PurePath]) -> str:
    """Return the remedy for files of other kinds: how to convert them, and what can be read."""
    suffixes = {path.suffix.lower() for path in paths}
    known = dict.fromkeys(how for suffix, how in _CONVERSIONS.items() if suffix in suffixes)
    return " ".join([*known, SUPPORTED])


def suffix_of(path: PurePath) -> str:
    """Return a file's suffix for an error message: `.docx`, `.docx.gz` or `no suffix`."""
    compressed = path.suffix.lower() in PROGRAMS
    inner = path.with_suffix("").suffix if compressed else ""
    return inner + path.suffix or "no suffix"


def _at_url(url: str, kind: Kind | None) -> list[Source]:
    """Return the file, or the supported files of the folder, at a URL, sorted."""
    found = urls.files(url)
    sources = []
    for place, name in found:
        its_kind, compression = form_of(place)
        if kind or its_kind:
            sources.append(Source(place, name, kind or its_kind, compression))
    if not sources:
        if not found:
            raise InputError(f"{url}: no such file or folder", "Check the URL.")
        raise InputError(f"{url}: no supported file", SUPPORTED)
    if others := len(found) - len(sources):
        tell(f"{url}: skipped files of other kinds: {others:,}")
    return sources


def _search(folder: Path, kind: Kind | None) -> list[Source]:
    """Return the supported files under `folder` in the order of their paths, hidden ones left out.

    Ids are relative to the folder, with forward slashes on every system.
    """

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: may not be read", "Check the folder's permissions.")

    paths: list[Path] = []
    links: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links += [name for name in folders if Path(parent, name).is_symlink()]
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    if links:
        tell(f"{folder}: did not follow links to folders: {len(links):,} ({', '.join(links[:3])})")
    supported = [path for path in sorted(paths) if kind or recognise(path, "").kind]
    if not supported:
        remedy = _supported_instead(paths)
        raise InputError(f"{folder}: no supported file in this folder", remedy)
    if others := set(paths).difference(supported):
        kinds = ", ".join(sorted({suffix_of(path) for path in others}))
        tell(f"{folder}: skipped files of other kinds: {len(others):,} ({kinds})")
    return [recognise(path, path.relative_to(folder).as_posix(), kind) for path in supported]
