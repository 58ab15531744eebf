"""What standard input holds, seen from its first lines."""

import io
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from serving.errors import Problem
from serving.files.csv_rows import EXCEL_SEPARATOR, header_cells, separator_of
from serving.files.encoding import decoded_blocks
from serving.files.lines import blocks
from serving.files.sources import Kind

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_COLUMN_NAMES = re.compile(r"[\w.-]+(?:[,;\t][\w.-]+)+\s*")


def recognise_kind(file: BinaryIO, fields: Collection[str]) -> tuple[Kind, BinaryIO]:
    """Return the form of `file`, and a file with the same bytes.

    A header has one of `fields`, or only words above a line of as many cells. No more lines are
    read than are needed, so that records can be labelled while others are still being written.
    """
    read: list[bytes] = []

    def kept() -> Iterator[bytes]:
        for block in blocks(file):
            read.append(block)
            yield block

    kind: Kind | None = None
    head: list[str] = []
    for text in decoded_blocks(kept(), ""):
        if isinstance(text, Problem):  # the reader will report it, whatever the form
            break
        if text.strip():
            head.append(text)
            kind = _kind(head, fields)
            if kind:
                break
    return kind or "text", cast("BinaryIO", io.BufferedReader(_Rejoined(b"".join(read), file)))


def _kind(head: list[str], fields: Collection[str]) -> Kind | None:
    """Return the form that begins with the lines `head`; None where the next line decides."""
    first = head[0].strip()
    if first.startswith("{"):
        return "jsonl" if first.endswith("}") else "json"
    if first.startswith("["):
        # «[عاجل]» and «[1]» begin a text.
        after = "".join(head).strip()[1:].lstrip()
        return None if not after else "json" if after[0] in '{["]' else "text"
    return _table_kind(head, first, fields)


def _table_kind(head: list[str], first: str, fields: Collection[str]) -> Kind | None:
    if EXCEL_SEPARATOR.fullmatch(first):
        return "csv"
    separator = separator_of(first, fields)
    cells = header_cells(first, separator)
    if set(cells).intersection(fields):
        return "csv"
    if not _COLUMN_NAMES.fullmatch(first) or len(set(cells)) < len(cells):
        return "text"
    if len(head) == 1:
        return None
    return "csv" if len(header_cells(head[1], separator)) == len(cells) else "text"


class _Rejoined(io.RawIOBase):
    """A file whose beginning has been read, with that beginning put back."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = io.BytesIO(head)
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        piece = self._head.read(len(view)) or self._file.readline(len(view))
        view[: len(piece)] = piece
        return len(piece)
