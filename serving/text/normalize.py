"""Text as a model reads it: the one normaliser that training and serving share."""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

from serving.errors import InputError


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A way to clean text before the tokenizer: `apply` is idempotent and may return "".

    Bundles store name, version and golden vectors (GOLDEN_INPUTS with their outputs). So any
    change of any output, here or in `close_holes`, must raise `version`: a model trained on the
    old text is then refused instead of being served text that it never saw.
    """

    name: str
    version: int
    apply: Callable[[str], str]


def normalize(text: str, name: str) -> str:
    """Return `text` cleaned by the normaliser `name`, "" when nothing readable is left.

    Raises InputError if no normaliser has that name.
    """
    if name not in NORMALIZERS:
        raise InputError(
            f"{name!r}: no normaliser has that name", f"Use one of {', '.join(NORMALIZERS)}."
        )
    return NORMALIZERS[name].apply(text)


# --- Closing holes -----------------------------------------------------------------------------

# Text with only these characters has no hole. Most news is such text and skips the work below.
_MAY_HOLD_A_HOLE = re.compile(r"[^ -~\u0621-\u063a\u0640-\u0652\u0660-\u066c«»“”‘’–—·…،؛؟]")

# Characters that NFKC expands in a harmful way. Whole phrases would be joined to the word before
# them, and the free-standing harakat of old PDF text would become a space and split their word.
_BEFORE_NFKC: dict[int, str | None] = {
    ord("ﷺ"): " صلى الله عليه وسلم ",
    ord("ﷻ"): " جل جلاله ",
    ord("﷽"): " بسم الله الرحمن الرحيم ",
    **dict.fromkeys([*range(0xFC5E, 0xFC64), *range(0xFE70, 0xFE80)]),
}

# Letters of Persian, Urdu, Kurdish and the Maghreb (and the Quran's alef wasla) that AraBERT's
# vocabulary lacks, under the Arabic letter that a writer without that key would type.
_VARIANTS = {
    "ا": "ٱ",
    "ب": "پٻٮ",
    "ت": "ٹټ",
    "ج": "چ",
    "د": "ڈ",
    "ر": "ڑڕ",
    "ز": "ژ",
    "ف": "ڤڥڡڢ",
    "ق": "ڨٯڧ",
    "ك": "کڪگݣڭ",
    "ل": "ڵ",
    "ن": "ں",
    "ه": "ەہھۀۂ",
    "ة": "ۃ",
    "و": "ۆۋ",
    "ي": "یېێے",
    "ئ": "ۓ",
    ".": "۔",
}
_TO_ARABIC = {ord(variant): letter for letter, them in _VARIANTS.items() for variant in them}
_TO_ARABIC |= dict(zip(range(ord("۰"), ord("۹") + 1), "0123456789", strict=True))

# Invisible characters, and the marks over and under Quranic letters: they must not split a word.
_DELETED = re.compile(
    r"[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\u0610-\u061a\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"
    r"\u08ca-\u08e1\u08e3-\u08ff]"
)
# Control characters, the signs that separate Quranic verses, and halves of surrogate pairs, which
# no tokenizer can encode.
_BLANKED = re.compile(r"[\x00-\x1f\x7f-\x9f\u06dd\u06de\u06e9\u08e2\ud800-\udfff]")
_HAMZA_OR_MADDA = re.compile(r"[\u0653-\u0655]")
_PILE = re.compile(r"\W{64,}")


def close_holes(text: str) -> str:
    """Return `text` in Arabic letters that a tokenizer knows, so that cleaning loses no word.

    Applies NFKC (except to «…», which AraBERT knows), maps foreign variants of Arabic letters and
    digits, removes Quranic and invisible marks, turns control characters into spaces. Idempotent.
    """
    if not _MAY_HOLD_A_HOLE.search(text):
        return text
    text = _nfkc(text.translate(_BEFORE_NFKC)).translate(_TO_ARABIC)
    text = _nfkc(_BLANKED.sub(" ", _DELETED.sub("", text)))
    # A hamza that is still not joined to a letter would split its word. Without it, the letter
    # before it and a mark after it may combine.
    return _nfkc(_HAMZA_OR_MADDA.sub("", text))


def _nfkc(text: str) -> str:
    """Return `text` in Unicode's NFKC, with «…» unchanged."""
    parts = (_PILE.sub(_order_marks, part) for part in text.split("…"))
    return "…".join(unicodedata.normalize("NFKC", part) for part in parts)


def _order_marks(pile: re.Match[str]) -> str:
    """Return many consecutive marks in canonical order, for which CPython needs quadratic time."""
    decomposed = "".join(unicodedata.normalize("NFKD", mark) for mark in pile[0])
    runs = groupby(decomposed, key=lambda mark: unicodedata.combining(mark) != 0)
    return "".join("".join(sorted(run, key=unicodedata.combining)) for _, run in runs)


# --- light -------------------------------------------------------------------------------------

_TASHKEEL_AND_TATWEEL = re.compile(r"[\u0640\u064b-\u0652]")


def _light(text: str) -> str:
    """Return `text` without holes, tashkeel and tatweel, with white space collapsed."""
    text = close_holes(text)
    if _TASHKEEL_AND_TATWEEL.search(text):
        # NFKC again: a letter and an accent that they separated may combine.
        text = _nfkc(_TASHKEEL_AND_TATWEEL.sub("", text))
    return " ".join(text.split())


# --- arabert -----------------------------------------------------------------------------------

_LINK, _EMAIL, _USER = " [رابط] ", " [بريد] ", " [مستخدم] "
_ADDRESS_CUE = re.compile(r"\.[a-z]{2}|http|www|://|@")
# In AraBERT's order, each applied to the result of the one before. So the first matches most e-mail
# addresses as links, and AraBERT was pretrained on that. Where a plain pattern would take quadratic
# time, a look-behind lets it start only where a match can start.
_ADDRESSES = tuple(
    (re.compile(pattern), placeholder)
    for pattern, placeholder in (
        (
            r"(?:https?://.)?(?:www\.)?[a-zA-Z0-9_@:%.+~#=-]{2,256}\.[a-z]{2,6}\b"
            r"[a-zA-Z0-9_@:%.+~#=?&/-]*",
            _LINK,
        ),
        (r"https?://[a-zA-Z0-9_./~?=%&-]+", _LINK),
        (r"www[a-zA-Z0-9_./~?=%&-]+", _LINK),
        (r"(?:(?<![a-zA-Z])|(?<=\.com))[a-zA-Z]++\.com", _LINK),
        (r"http\S*", _LINK),
        (r"www\S*", _LINK),
        (r"://", _LINK),
        (r"(?<![\w-])[\w-]++@(?:[\w-]++\.)+[\w-]+", _EMAIL),
        (r"(?<!\S)\S+@\S+", _EMAIL),
        (r"@\w+", _USER),
    )
)
_TAG = re.compile(r"<[^>]+>")
# Python refuses to convert numbers with more digits than a limit, whose lowest value is 640.
_ENDLESS_ENTITY = re.compile(r"&#[0-9]{640,};?")
_REPEATED = re.compile(r"(\D)\1\1+")
_SPACED_OR_OUT = re.compile(r"[^0-9a-zA-Z\[\] \u0621-\u063a\u0641-\u064a]")
_SPACED = {
    **{sign: f" {sign} " for sign in "!\"#$%'()*+,-.:;<=>?@\\^_`{|}~·،؛؟٪٫٬ٲٳٴ«»–—‘’“”…\u0b4d"},
    "/": " - ",
    **dict(zip("٠١٢٣٤٥٦٧٨٩", "0123456789", strict=True)),
}
# Starts with a digit, which is rare, so that most of a text is skipped quickly.
_DIGIT_BY_LETTER = re.compile(
    r"[0-9](?:(?=[\u0621-\u063a\u0641-\u064a])|(?<=[\u0621-\u063a\u0641-\u064a].))"
)
_DIGITS_THEN_LETTERS = re.compile(r"(?<![0-9])([0-9]+)([\u0621-\u063a\u0641-\u064a]+)")
_LETTERS_THEN_DIGITS = re.compile(
    r"(?<![\u0621-\u063a\u0641-\u064a])([\u0621-\u063a\u0641-\u064a]++)([0-9]+)"
)


def _arabert(text: str) -> str:
    """Return `text` without holes, as AraBERT v02 was trained to read it.

    Equal to AraBERT's own preprocessing of `close_holes(text)`, applied until it changes nothing.
    One pass is enough except in two cases: shortening «htttp» creates a link and spacing «<>»
    creates a tag. A second pass removes both and cannot create either.
    """
    text = close_holes(text)
    if "&" in text:
        # An entity may encode a hole: «&#65275;» is the ligature lam-alef.
        text = close_holes(html.unescape(_ENDLESS_ENTITY.sub("\ufffd", text)))
    text = _arabert_pass(text)
    if "http" in text or 0 <= text.find("<") < text.rfind(">"):
        text = _arabert_pass(text)
    return text


def _arabert_pass(text: str) -> str:
    """Apply the rest of AraBERT's rules, in its order, to unescaped text."""
    text = _TASHKEEL_AND_TATWEEL.sub("", text)
    if _ADDRESS_CUE.search(text):
        for address, placeholder in _ADDRESSES:
            text = address.sub(placeholder, text)
    if "<" in text:
        # No tag can end after the last «>»: searching there from every «<» would be quadratic.
        head, end, tail = text.replace("<br />", " ").rpartition(">")
        text = _TAG.sub(" ", head + end) + tail
    text = _REPEATED.sub(r"\1\1", text)
    text = _SPACED_OR_OUT.sub(lambda sign: _SPACED.get(sign[0], " "), text)
    if _DIGIT_BY_LETTER.search(text):
        text = _DIGITS_THEN_LETTERS.sub(r" \1 \2 ", text)
        text = _LETTERS_THEN_DIGITS.sub(r" \1 \2 ", text)
    return " ".join(text.split())


NORMALIZERS: Mapping[str, Normalizer] = MappingProxyType(
    {
        normalizer.name: normalizer
        for normalizer in (
            Normalizer(name="arabert", version=1, apply=_arabert),
            Normalizer(name="light", version=1, apply=_light),
        )
    }
)

# Each rule at least once; escapes where an editor would hide or reorder characters.
GOLDEN_INPUTS: tuple[str, ...] = (
    "نفت الوزارة، مساء الأحد، سقوط أي صاروخ قرب الميناء.",
    "\ufefb صحة لهذه الأنباء",
    "\u202bقُتِلَ ١٢ شخصاً\u200f وأُصيبَ ۳۵ آخرون\u202c",
    "تبنّـــت الجماعةُ العمليّة",
    "علی الحدود الإیرانیة قرب گرگان و پاوه وچابهار وڤيينا",
    "هٰذا الرحمٰن ذٰلك",
    "\u0671للَّهُ أكبر \u06dd١\u06d6 لَهُ\u06e5",
    "قال النبيﷺ وﷲ أعلم ﷽",
    "شي\u0654 في ا\u0653خر القرا\u0653ن",
    "كل\u0640\u0651ا\u2060 \u061cثم\u00ad لا\u200cشيء",
    "سطر\x00أول\r\nوسطر\tثان\u00a0وثالث",
    "زوروا https://example.org/a?b=1 أو www.example.net أو example.com",
    "راسلونا على desk@example.org أو مكتب@بريد",
    "كتب @user_1 و@صحفي: تم التأكيد",
    "http وhtttp://مثال",
    "[رابط] ثم [بريد] ثم [مستخدم] و[غير ذلك]",
    "عاجل &amp; &lt;b&gt; &quot;هجوم&quot; &#65275; صحة له",
    "<p>بيان<br />رسمي</p> 3 < 5 > 2 <>",
    "عااااجل!!!!! هههههه ؟؟؟ 1000000 …",
    "2023/10/07 بنسبة 50% و٪٣٠ و1,234.56 و٣٫٥",
    "و35جريحا في 12قرية وG20 وcovid19مرض",
    "صاروخ«غراد»أصاب(القاعدة)-الشمالية_الغربية",
    "“اقتباس” و‘آخر’ – جملة — معترضة · نقطة",
    "#غزة_الآن 🔴🔴🔴 ❤️ متابعة",
    "Breaking: naïve café ５G ＡＢＣ ①",
    "{نص} | ~ ^ ` $ = + * \\ ; ؛ :",
    "★ ✦ 👇",
    "   ",
    "",
    "إلى أنّ آية ةىي ؤئء",
    "ھو ۆ ڵ ێ ۓ ۃ ڨ ڥ ڭ ۔",
)
