"""What a person reads on the terminal: nothing from outside can steer it or forge a line."""

import re
import sys
from collections.abc import Mapping

# Control characters, line ends of every kind, marks that reorder text, and what UTF-8 cannot
# encode. Arabic and the joiners that it needs are not among them.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: object) -> str:
    """Return `text` on one line, with an escape such as `\\x1b` for what a terminal obeys."""
    return UNSAFE.sub(_escaped, str(text))


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, as in `1 file` and `1,000 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def tell(line: str) -> None:
    """Write one line to stderr, as `rasd: …`."""
    sys.stderr.write(f"rasd: {shown(line)}\n")


def tell_notes(notes: Mapping[str, int]) -> None:
    """Say on stderr what reading did to the documents, and to how many."""
    for note, count in sorted(notes.items()):
        tell(f"{counted(count, 'document')}: {note}")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    short = {9: "\\t", 10: "\\n", 13: "\\r"}
    return short.get(code) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
