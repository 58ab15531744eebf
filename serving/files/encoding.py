"""Bytes to text: strict UTF-8, or a problem that says what the bytes look like instead."""

import codecs
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace

from serving.errors import Problem
from serving.files.lines import LongLine
from serving.files.row import too_long
from serving.files.sources import Span


def decode(raw: bytes, name: str, line: int = 1, *, column: int = 0) -> str | Problem:
    """Return `raw` as text, or the problem if it is not UTF-8 or holds a NUL.

    `raw` begins at `line` of the file `name`, `column` bytes into that line. A byte order mark at
    the file's start is dropped; line ends stay as they are.
    """
    if line == 1 and not column:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            what = "begins with the byte order mark of UTF-16, not UTF-8"
            remedy = _conversion("UTF-16")
            return Problem(f"{name}: line 1", what, remedy, line=1, whole_file=True)
        raw = raw.removeprefix(codecs.BOM_UTF8)
    at = raw.find(b"\0")
    if at >= 0:
        what, (remedy, whole_file) = "is not text", _remedy_for_nul(raw)
    else:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            at, what, (remedy, whole_file) = error.start, "is not UTF-8", _remedy(raw, error)
    line_start = raw.rfind(b"\n", 0, at) + 1
    byte = at - line_start + 1 + (0 if line_start else column)
    line += raw.count(b"\n", 0, at)
    what = f"byte 0x{raw[at]:02x} {what} (byte {byte} of the line)"
    text = raw.decode("utf-8", "backslashreplace")
    where = f"{name}: line {line}"
    return Problem(where, what, remedy, line=line, raw=text, whole_file=whole_file)


def decoded_lines(
    raw_lines: Iterable[bytes], name: str, span: Span | None = None
) -> Iterator[tuple[int, str | Problem]]:
    """Yield the number and the text of every line, its line end included.

    Bytes that look like another encoding end the file, unless a line before them was UTF-8 beyond
    ASCII, or they are in a later span of the file: then only their own line is damaged.
    """
    proven = bool(span and span.start)
    for number, raw in enumerate(raw_lines, span.line if span else 1):
        if isinstance(raw, LongLine):
            text = raw.decode("utf-8", "replace")
            yield number, too_long(f"{name}: line {number}", number, raw.size, text)
            continue
        line = decode(raw, name, number)
        if isinstance(line, Problem):
            if proven:
                line = replace(line, whole_file=False)
            yield number, line
            if line.whole_file:
                return
        else:
            # An escape of JSON shows that the file is meant to be ASCII.
            proven = proven or not line.isascii() or "\\u06" in line
            yield number, line


def decoded_blocks(blocks: Iterable[bytes], name: str) -> Iterator[str | Problem]:
    """Yield the text of blocks that may end inside a character; stop after a problem."""
    line, column, held = 1, 0, b""
    for block in blocks:
        raw = held + block
        # What follows `end` is the beginning of a character.
        _, end = codecs.utf_8_decode(raw, "ignore", False)
        text = decode(raw[:end], name, line, column=column)
        yield text
        if isinstance(text, Problem):
            return
        held = raw[end:]
        newline = raw.rfind(b"\n", 0, end)
        column = end - newline - 1 if newline >= 0 else column + end
        line += raw.count(b"\n", 0, end)
    if held:
        yield decode(held, name, line, column=column)


def _remedy_for_nul(raw: bytes) -> tuple[str, bool]:
    """Tell UTF-16 and text with a NUL in it from bytes that are not text.

    The second value says whether the whole file is like that.
    """
    for encoding in ("UTF-16LE", "UTF-16BE"):
        characters = raw[:1000].decode(encoding, "ignore")
        # Read as the wrong one of the two, or for UTF-8, nearly all would be Chinese.
        readable = sum(
            " " <= c <= "~" or c.isspace() or "\u0600" <= c <= "\u06ff" for c in characters
        )
        if characters and readable >= 0.8 * len(characters):
            return f"It reads as {encoding}. {_conversion(encoding)}", True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "It looks like a binary file: name a text file.", True
    return "Remove such bytes: tr -d '\\000' < OLD > NEW", False


def _remedy(raw: bytes, error: UnicodeDecodeError) -> tuple[str, bool]:
    if error.reason == "unexpected end of data":
        return "The file looks cut off in the middle of its last character: copy it again.", False
    if _looks_like_cp1256(raw[error.start :][:1000]):
        return f"It reads as Windows Arabic. {_conversion('CP1256')}", True
    return "Files must be UTF-8: save the file again in that encoding.", False


def _looks_like_cp1256(raw: bytes) -> bool:
    """Tell whether at least 80 % of what is not ASCII decodes to Arabic letters.

    Every byte means something in that code page, so successful decoding proves nothing.
    """
    foreign = [c for c in raw.decode("cp1256") if not c.isascii()]
    arabic = [c for c in foreign if unicodedata.name(c, "").startswith("ARABIC")]
    return len(arabic) >= 0.8 * len(foreign)


def _conversion(encoding: str) -> str:
    return f"Convert it first: iconv -f {encoding} -t UTF-8 OLD > NEW"
