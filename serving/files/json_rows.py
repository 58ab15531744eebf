"""JSON Lines, JSON arrays and JSON objects to rows."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from serving.errors import Problem
from serving.files.encoding import LONGEST, TOO_LONG, decoded_blocks, decoded_lines
from serving.files.row import Row, named
from serving.files.sources import Span

_BLOCK = 2**16  # bytes
_BLANK = re.compile(r"[ \t\r\n]*")
_ONE_OBJECT = 'Give one JSON object per line: {"text": "…"}.'
_ONE_ARRAY = 'Give a JSON array of objects: [{"text": "…"}, …].'


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of `file`, long ones in pieces, so that one line need not fit in memory."""
    while block := file.readline(_BLOCK):
        yield block


def json_line_rows(
    lines: Iterable[bytes], name: str, span: Span | None = None
) -> Iterator[Row | Problem]:
    """Yield the objects of JSON Lines; the lines are those of the file or of its `span`."""
    for number, line in decoded_lines(lines, name, span):
        where = f"{name}: line {number}"
        if isinstance(line, Problem):
            yield line
            continue
        if not line.strip():
            continue
        try:
            value = json.loads(line.rstrip())
        except (ValueError, RecursionError) as error:
            yield Problem(where, f"not JSON: {_reason(error)}", _ONE_OBJECT, line=number, raw=line)
            continue
        if isinstance(value, dict):
            yield Row(where, number, number, value)
        else:
            remedy = _ONE_OBJECT
            if number == 1 and isinstance(value, list):
                remedy = "Give one JSON object per line; a file that is one array ends in .json."
            yield Problem(where, f"{named(value)}, not an object", remedy, line=number, raw=line)


def json_rows(pieces: Iterable[bytes], name: str) -> Iterator[Row | Problem]:
    """Yield the objects of a JSON array, or objects that follow each other."""
    text = _JsonText(decoded_blocks(pieces, name))
    number = 0
    try:
        array = text.skip("[")
        while text.more_values(array=array, first=not number):
            line, value, number = text.line, text.value(), number + 1
            where = f"{name}: line {line}"
            if array:
                where += f": item {number}"
            if isinstance(value, dict):
                yield Row(where, line, number if array else line, value)
            else:
                raw = json.dumps(value, ensure_ascii=False)
                yield Problem(
                    where, f"{named(value)}, not an object", _ONE_ARRAY, line=line, raw=raw
                )
    except (ValueError, RecursionError) as error:
        line = text.line
        if isinstance(error, json.JSONDecodeError):
            line += text.text.count("\n", text.at, error.pos)
        what = f"not JSON: {getattr(error, 'msg', None) or _reason(error)}"
        raw = text.text[text.at :][:1000]
        yield text.problem or Problem(
            f"{name}: line {line}", what, _ONE_ARRAY, line=line, raw=raw, whole_file=True
        )


class _JsonText:
    """JSON that is read piece by piece: `text` from `at` on is not parsed yet."""

    def __init__(self, pieces: Iterator[str | Problem]) -> None:
        self.text = ""
        self.at = 0
        self.line = 1
        self.problem: Problem | None = None
        self._pieces = pieces
        self._decoder = json.JSONDecoder()

    def skip(self, sign: str) -> bool:
        """Pass over blanks and then `sign`, if it is next."""
        if self._next() != sign:
            return False
        self.at += 1
        return True

    def more_values(self, *, array: bool, first: bool) -> bool:
        """Tell whether another value follows; raise JSONDecodeError where the array is broken."""
        if not array:
            return bool(self._next())
        if self.skip("]"):
            if self._next():
                raise json.JSONDecodeError("Text after the array", self.text, self.at)
            return False
        if not first and not self.skip(","):
            raise json.JSONDecodeError("Expecting ',' or ']'", self.text, self.at)
        self._next()
        return True

    def value(self) -> Any:
        """Return the value that begins here."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self.text, self.at)
                # A number at the end of what was read may have more digits to come.
                if end < len(self.text) or not self._read_on():
                    self._move(end)
                    return value
            except json.JSONDecodeError as error:
                at_end = error.pos >= len(self.text) - 10 or error.msg.startswith("Unterminated")
                if not at_end or not self._read_on():
                    raise

    def _next(self) -> str:
        """Pass over blanks; return the character that follows, or nothing at the end."""
        while True:
            blank = _BLANK.match(self.text, self.at)
            self._move(blank.end() if blank else self.at)
            if self.at < len(self.text) or not self._read_on():
                return self.text[self.at : self.at + 1]

    def _move(self, at: int) -> None:
        self.line += self.text.count("\n", self.at, at)
        self.at = at

    def _read_on(self) -> bool:
        """Read as much again as is not parsed yet: a long value is not parsed over and over."""
        rest = self.text[self.at :]
        if len(rest) > LONGEST:
            raise ValueError(TOO_LONG)
        found, wanted = [rest], max(len(rest), _BLOCK)
        for piece in self._pieces:
            if isinstance(piece, Problem):
                self.problem = piece
                break
            found.append(piece)
            wanted -= len(piece)
            if wanted <= 0:
                break
        self.text, self.at = "".join(found), 0
        return len(self.text) > len(rest)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
