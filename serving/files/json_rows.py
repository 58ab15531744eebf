"""JSON Lines, JSON arrays and JSON objects to rows."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from serving.errors import Problem
from serving.files.encoding import decoded_blocks, decoded_lines
from serving.files.lines import BLOCK
from serving.files.row import MAX_RECORD, RAW_OF_LONG, Row, named, too_long
from serving.files.sources import Span
from serving.files.telegram import is_export, message_row

_BLANK = re.compile(r"[ \t\r\n]*")
_STRUCTURE = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_ONE_OBJECT = 'Give one JSON object per line: {"text": "…"}.'
_ONE_ARRAY = 'Give a JSON array of objects: [{"text": "…"}, …].'


def _no_number(_: str) -> None:
    """Read NaN and Infinity, which Python and pandas write though JSON has neither, as null."""


def _finite(digits: str) -> float | None:
    """Read a number that no float can hold, such as 1e999, as null: it would become Infinity."""
    number = float(digits)
    return number if math.isfinite(number) else None


# `json.loads` would make one for every line.
_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_no_number)


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
            # Files that begin with a byte order mark may have been joined.
            value = _DECODER.decode(line.removeprefix("\ufeff").rstrip())
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
    """Yield the objects of a JSON array, objects that follow each other, or an export's messages.

    A value over MAX_RECORD is a problem of its own, and is never held.
    """
    text = JsonText(decoded_blocks(pieces, name))
    try:
        if is_export(text.head()):
            yield from _messages(text, name, {})
        else:
            yield from _objects(text, name)
    except (ValueError, RecursionError) as error:
        line = text.line
        if isinstance(error, json.JSONDecodeError):
            line += text.text.count("\n", text.at, error.pos)
        what = f"not JSON: {getattr(error, 'msg', None) or _reason(error)}"
        raw = text.text[text.at :][:RAW_OF_LONG]
        yield text.problem or Problem(
            f"{name}: line {line}", what, _ONE_ARRAY, line=line, raw=raw, whole_file=True
        )


def _objects(text: "JsonText", name: str) -> Iterator[Row | Problem]:
    number = 0
    array = text.skip("[")
    while text.more("]" if array else "", first=not number):
        line, value, number = text.line, text.value(), number + 1
        where = f"{name}: line {line}"
        if array:
            where += f": item {number}"
        if isinstance(value, dict):
            yield Row(where, line, number if array else line, value)
        elif isinstance(value, Long):
            yield too_long(where, line, value.size, value.beginning)
        else:
            raw = json.dumps(value, ensure_ascii=False)
            what = f"{named(value)}, not an object"
            yield Problem(where, what, _ONE_ARRAY, line=line, raw=raw)


def _messages(text: "JsonText", name: str, chat: dict[str, Any]) -> Iterator[Row | Problem]:
    """Yield the messages of the chat, or of the account with its chats, that begins here."""
    text.skip("{")
    first = True
    while text.more("}", first=first):
        first = False
        key = text.value()
        if not isinstance(key, str) or not text.skip(":"):
            raise json.JSONDecodeError("Expecting a key and ':'", text.text, text.at)
        text.peek()
        if key in ("chats", "left_chats") and text.peek() == "{":
            yield from _messages(text, name, {})
        elif key in ("list", "messages") and text.skip("["):
            start = True
            while text.more("]", first=start):
                start = False
                if key == "list" and text.peek() == "{":
                    yield from _messages(text, name, {})
                    continue
                line, value = text.line, text.value()
                if isinstance(value, Long):
                    yield too_long(f"{name}: line {line}", line, value.size, value.beginning)
                elif isinstance(value, dict) and (row := message_row(value, chat, name, line)):
                    yield row
        else:
            value = text.value()
            if isinstance(value, str | int):
                chat[key] = value


@dataclass(frozen=True, slots=True)
class Long:
    """A value over MAX_RECORD characters, of which only the beginning is kept."""

    size: int
    beginning: str


class JsonText:
    """JSON that is read piece by piece: `text` from `at` on is not parsed yet."""

    def __init__(self, pieces: Iterator[str | Problem]) -> None:
        self.text = ""
        self.at = 0
        self.line = 1
        self.depth = 0
        self.problem: Problem | None = None
        self._pieces = pieces

    def skip(self, sign: str) -> bool:
        """Pass over blanks and then `sign`, if it is next."""
        if self.peek() != sign:
            return False
        self.at += 1
        return True

    def head(self) -> str:
        """Return what has been read and not parsed, at least the first block."""
        self.peek()
        return self.text[self.at :]

    def peek(self) -> str:
        """Pass over blanks; return the character that follows, or nothing at the end."""
        while True:
            blank = _BLANK.match(self.text, self.at)
            self._move(blank.end() if blank else self.at)
            if self.at < len(self.text) or not self._read_on():
                return self.text[self.at : self.at + 1]

    def more(self, closing: str, *, first: bool) -> bool:
        """Tell whether another value follows; raise JSONDecodeError where what holds it is broken.

        `closing` ends an array or object; without it values follow each other.
        """
        if not closing:
            return bool(self.peek())
        self.depth += first
        if self.skip(closing):
            self.depth -= 1
            if not self.depth and self.peek():
                raise json.JSONDecodeError("Text after the end", self.text, self.at)
            return False
        if not first and not self.skip(","):
            raise json.JSONDecodeError(f"Expecting ',' or '{closing}'", self.text, self.at)
        self.peek()
        return True

    def value(self) -> Any:
        """Return the value that begins here, or a Long one passed over."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                size, beginning = end - self.at, self.text[self.at :][:RAW_OF_LONG]
                # A number at the end of what was read may have more digits to come.
                if end < len(self.text) or not self._read_on():
                    self._move(self.at + size)
                    return value if size <= MAX_RECORD else Long(size, beginning)
            except json.JSONDecodeError as error:
                at_end = error.pos >= len(self.text) - 10 or error.msg.startswith("Unterminated")
                if at_end and len(self.text) - self.at > MAX_RECORD:
                    return self._pass_over()
                if not at_end or not self._read_on():
                    raise

    def _pass_over(self) -> Long:
        """Pass over a value that begins here, piece by piece; only brackets and strings matter."""
        beginning, size, depth, in_string = self.text[self.at :][:RAW_OF_LONG], 0, 0, False
        while True:
            start = self.at
            for sign in _STRUCTURE.finditer(self.text, self.at):
                if sign[0] == '"':
                    in_string = not in_string
                elif not in_string and len(sign[0]) == 1:
                    depth += 1 if sign[0] in "[{" else -1
                if not in_string and not depth:
                    self._move(sign.end())
                    return Long(size + sign.end() - start, beginning)
            # An escape is never cut in two.
            end = len(self.text) - (len(self.text) - len(self.text.rstrip("\\"))) % 2
            size += end - start
            self._move(end)
            if not self._read_on():
                what = f"Unterminated value of over {MAX_RECORD // 2**20} MB"
                raise json.JSONDecodeError(what, self.text, self.at)

    def _move(self, at: int) -> None:
        self.line += self.text.count("\n", self.at, at)
        self.at = at

    def _read_on(self) -> bool:
        """Read as much again as is not parsed yet: a long value is not parsed over and over."""
        rest = self.text[self.at :]
        found, wanted = [rest], max(len(rest), BLOCK)
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
