"""Bytes to text: strict UTF-8, or an error that says what the bytes look like instead."""

import codecs
import unicodedata
from collections.abc import Iterable, Iterator

from serving.errors import InputError


def decode(raw: bytes, name: str, line: int = 1) -> str:
    """Return `raw`, which begins at line `line` of the file `name`, as text.

    A byte order mark at the file's start is dropped; line ends stay as they are. Raises InputError
    naming the line when the bytes are not UTF-8 or hold a NUL.
    """
    if line == 1:
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise InputError(
                f"{name}: line 1: begins with the byte order mark of UTF-16, not UTF-8",
                _conversion("UTF-16"),
            )
        raw = raw.removeprefix(codecs.BOM_UTF8)
    nul = raw.find(b"\0")
    if nul >= 0:
        raise InputError(_problem(raw, nul, line, name, "is no text"), _remedy_for_nul(raw))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            _problem(raw, error.start, line, name, "is not UTF-8"), _remedy(raw, error)
        ) from error


def decoded_lines(raw_lines: Iterable[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the text of every line, its line end included."""
    for number, raw in enumerate(raw_lines, 1):
        yield number, decode(raw, name, number)


def _problem(raw: bytes, position: int, line: int, name: str, what: str) -> str:
    line += raw.count(b"\n", 0, position)
    column = position - raw.rfind(b"\n", 0, position)
    return f"{name}: line {line}: byte 0x{raw[position]:02x} {what} (byte {column} of the line)"


def _remedy_for_nul(raw: bytes) -> str:
    """Tell UTF-16 and text with a NUL in it from what is no text at all."""
    for encoding in ("UTF-16LE", "UTF-16BE"):
        signs = raw[:1000].decode(encoding, "ignore")
        # Read as the wrong one of the two, or for UTF-8, nearly all would be Chinese.
        readable = sum(" " <= c <= "~" or c.isspace() or "\u0600" <= c <= "\u06ff" for c in signs)
        if signs and readable >= 0.8 * len(signs):
            return f"It reads as {encoding}. {_conversion(encoding)}"
    try:
        raw.decode()
    except UnicodeDecodeError:
        return "It looks like a binary file: name a text."
    return "Take such bytes out: tr -d '\\000' < OLD > NEW"


def _remedy(raw: bytes, error: UnicodeDecodeError) -> str:
    if error.reason == "unexpected end of data":
        return "The file looks cut off in the middle of its last character: copy it again."
    if _looks_like_cp1256(raw[error.start :][:1000]):
        return f"It reads as Windows Arabic. {_conversion('CP1256')}"
    return "Files must be UTF-8: save the file again in that encoding."


def _looks_like_cp1256(raw: bytes) -> bool:
    """Tell whether nearly all that is not ASCII turns into Arabic letters.

    Every byte means something in that code page, so that it decodes proves nothing.
    """
    foreign = [c for c in raw.decode("cp1256") if not c.isascii()]
    arabic = [c for c in foreign if unicodedata.name(c, "").startswith("ARABIC")]
    return len(arabic) >= 0.8 * len(foreign)


def _conversion(encoding: str) -> str:
    return f"Convert it first: iconv -f {encoding} -t UTF-8 OLD > NEW"
