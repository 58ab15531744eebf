"""Text that was damaged before it came here: found by a few counts, repaired where it can be.

A model labels such text `other` with certainty, so nobody would notice.
"""

import re
import unicodedata

from serving.errors import missing_extra

# What a record's `damage` can be.
MOJIBAKE = "decoded as a Western encoding"
MOJIBAKE_1256 = "decoded as Windows-1256"
LEGACY = "Windows-1256 decoded as a Western encoding"
LOST = "characters lost"
VISUAL = "Arabic in visual order"
REPAIRED = "decoding repaired"

# More than this many characters of a text are not looked at: damage is everywhere or nowhere.
_SAMPLE = 20_000
_ARABIC = re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]")
# An Arabic letter is two bytes: 0xD8 to 0xDB, and 0x80 to 0xBF, here in Latin-1 or Windows-1252.
_AS_WESTERN = re.compile("[ØÙÚÛ][\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ\ufffd]")
_AS_1256 = re.compile("[طظ][^\u0621-\u063a\u0641-\u0652\\s\\w]|[طظ][آأؤإئابةتثجحخدذرز]")
_WESTERN_LETTER = re.compile("[À-ÖØ-öø-ÿ]")
_LETTER = re.compile(r"[^\W\d_]")
_LOST = re.compile("\ufffd|(?<!\\?)\\?{3,}(?!\\?)")
_WORD = re.compile("[\u0621-\u064a]{3,}")
_BACKWARDS = re.compile("[^\u0621-\u0652\u0640][ةى][\u0621-\u064a]{2}")
_PRESENTATION = re.compile("[\ufb50-\ufdff\ufe70-\ufefc]")
_MANY = 5


def inspected(text: str, *, repair: bool = False) -> tuple[str, str | None]:
    """Return a text and what damaged it, or None; with `repair`, the repaired text."""
    sample = text[:_SAMPLE]
    if sample.isascii() and "?" not in sample:
        return text, None
    damage = _damage(sample)
    if repair and damage == MOJIBAKE:
        repaired = _repaired(text)
        if repaired is not None:
            return repaired, REPAIRED
    return text, damage


def check_repair() -> None:
    """Raise InputError where the library that repairs is not installed."""
    try:
        import ftfy  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_extra("--repair", "ftfy", "repair") from error


def _damage(text: str) -> str | None:
    """Return what damaged a text. Every test begins with a cheap one that good text fails."""
    if _WESTERN_LETTER.search(text):
        pairs = len(_AS_WESTERN.findall(text))
        arabic = len(_ARABIC.findall(text))
        if pairs >= _MANY and pairs > arabic:
            return MOJIBAKE
        western = len(_WESTERN_LETTER.findall(text))
        if not arabic and western > max(_MANY, 0.6 * len(_LETTER.findall(text))):
            return LEGACY
    first_bytes = text.count("ط") + text.count("ظ")
    if first_bytes >= _MANY and first_bytes > 0.2 * len(text) and _AS_1256.search(text):
        return MOJIBAKE_1256
    if "\ufffd" in text or "???" in text:
        runs = _LOST.findall(text)
        lost = sum(map(len, runs))
        # A single run of question marks beside words is emphasis.
        several = len(runs) > 1 or not _LETTER.search(text)
        if lost >= _MANY and lost > 0.2 * len(text) and several:
            return LOST
    return VISUAL if _is_visual(text) else None


def _is_visual(text: str) -> bool:
    """Tell whether words read backwards: «ة» and «ى» only end words, «ال» begins many."""
    if _PRESENTATION.search(text):
        text = unicodedata.normalize("NFKC", text)
    if len(_BACKWARDS.findall(text)) < 2:
        return False
    words = _WORD.findall(text)
    backwards: int = sum((word[0] in "ةى") + word.endswith("لا") for word in words)
    forwards: int = sum((word[-1] in "ةى") + word.startswith("ال") for word in words)
    return backwards >= 3 and backwards > 3 * forwards


def _repaired(text: str) -> str | None:
    """Return what ftfy makes of a text by decoding alone, if encoding gives the text back."""
    import ftfy

    config = ftfy.TextFixerConfig(
        restore_byte_a0=False, replace_lossy_sequences=False, decode_inconsistent_utf8=False
    )
    repaired, steps = ftfy.fix_encoding_and_explain(text, config)
    if not steps or any(step.action not in ("encode", "decode") for step in steps):
        return None
    back = repaired
    opposite: object = back
    for step in reversed(steps):
        if step.action == "decode":
            opposite = str(opposite).encode(step.parameter)
        else:
            assert isinstance(opposite, bytes)
            opposite = opposite.decode(step.parameter)
    return repaired if opposite == text else None
