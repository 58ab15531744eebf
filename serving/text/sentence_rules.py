"""When a stop, a question mark or an ellipsis does not end a sentence of Arabic news: the rules.

`serving.text.sentences` finds the candidates. Each rule looks at one and says whether the sentence
continues; the lists above the rules hold the words that they know. A rule reads only a bounded
stretch of text around the candidate, so that splitting takes linear time.
"""

import re
import string
from collections.abc import Callable
from dataclasses import dataclass, field

TERMINATORS = ".!?؟…۔‼⁇⁈⁉"
_CALLS = frozenset("!?؟‼⁇⁈⁉")
_MIDDLE = frozenset("،,؛;:")
# Writers use these for either side of a quotation; spacing and pairing say which side it is.
DOUBLE_QUOTES = '"“”„‟″'
CLOSING_QUOTES = DOUBLE_QUOTES + "'‘’‚«»‹›"
# Marks of direction and of joining, which word processors leave anywhere in a text, and those that
# make an emoji of the sign before them: «‼️» is «‼» and a mark.
INVISIBLE = (
    "\u00ad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff"
)

# In a quotation or bracket of at most this many code points no terminator is a boundary: it is one
# utterance. A longer one is split into its sentences.
SHORT_ENCLOSURE = 120

# What may stand on either side of a mark inside a number, a version, a domain or an address.
_BEFORE_IN_TOKEN = frozenset(string.ascii_letters + string.digits + "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹/_=&%-")
_AFTER_IN_TOKEN = _BEFORE_IN_TOKEN - {"-"}
_ARABIC_DOMAIN = re.compile(r"(?:نت|كوم|[أا]ورغ)\b")

# د. م. ص. أ.د. أ.ف.ب. ق.م. هـ. J. U.S.: a letter, or «and» and a letter, needs no list.
_INITIAL = re.compile(r"و?[^\W\d_]ـ*")
_ABBREVIATION = re.compile(
    r"مج|تح|لد"  # volume, edited by, to-Dr.
    r"|Dr|Mrs?|Ms|Prof|Gen|Col|Lt|Sgt|Maj|Capt|Sen|Rep|Gov|St|No|Vol|Fig|vs|Inc|Ltd|Co|Corp|[JS]r"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec"
)
# «Et cetera» ends a list; its sentence continues where the next word can only continue one.
_ET_CETERA = re.compile(r"و?[إاأ]لخ")
_CONTINUES = re.compile(
    r"(?:في|من|[إا]لى|على|عن|مع|بين|عند|منذ|حتى|حول|ضد|قبل|بعد|خلال|عبر|نحو|تحت|داخل|خارج|ضمن"
    r"|دون|بدون|لدى|بسبب|التي|الذي|الذين|[أا]و|[أا]م|ثم|لكن|كما هو)\b"
)
# Names of Latin letters, of which Arabic spells acronyms: سي.إن.إن، بي.بي.سي.
_LETTER_NAME = re.compile(
    r"(?:[وفبلك]?(?:ال|لل)?)"
    r"(?:[إاأ]يه|[إا]ي|أي|بي|سي|دي|[إا]ف|جي|[إا]تش|[آا]ي|جيه|كيه|كي|[إا]ل|[إا]م|[إا]ن|[أا]و|كيو"
    r"|[آا]ر|[إا]س|تي|يو|في|دبليو|[إا]كس|واي|زد|زي)(?![^\W\d_])"
)
# A letter that marks a year, an hour or a thing (2011 م. / المنطقة ج.) ends sentences like a word.
_LETTER_AS_LABEL = re.compile(
    r"(?:\d|(?:منطقة|مناطق|فئة|مجموعة|ملحق|فقرة|بند|مستوى|درجة|نموذج))\s?(?:\w\.\s?)*\wـ?$"
)
# A chain of short pieces (سي.أن.أن، إ.س.را.ئي.ل) or a cut letter (عسـ.ـكري): spelling that spells
# out acronyms or evades the filters of social networks.
_PIECE_BEFORE = re.compile(r"\.[ء-ي]{1,4}$|ـ$")
_PIECE_AFTER = re.compile(r"[ء-ي]{1,4}\.(?=[ء-ي])|ـ")
_SPACED_ACRONYM = re.compile(r"(?:^|\s)[^\Wو] \w$")  # د ب أ. — but not «و أ. حمدان»

_REPORTING = (
    r"(?:قال|[أا]ضاف|[أا]كد|[أا]علن|[أا]وضح|ذكر|[أا]فاد|[أا]شار|نقل|نف[ىت]|[أا]?دان|ندد|تابع|صرح"
    r"|كشف|شدد|حذر|طالب|دع[ات]|اتهم|تبن[ىت]|زعم|لفت|تعهد|هدد|علق|رفض|يقول|تقول|جاء)(?:ت|وا|ا)?"
)
_NEW_REPORT = re.compile(rf"و{_REPORTING}\b")
_NEW_SENTENCE = re.compile(
    rf"و{_REPORTING}\b|و(?:كان\w*|قد|لم|لن|لا|في|من|هو|هي|بحسب|وفق)\b|كما\b|يذكر\b|يشار\b"
)
# «And», not the و with which some words begin: amid, behind, according to, alone, minister, agency.
_AND = re.compile(r"ف|و(?!(?:سط|راء|فق|قت|حد\w*|زير|زارة|كالة|فد)\b)")
# After «…."»: the same speaker continues, the speaker is named, or the quotation is commented on.
_AFTER_QUOTATION = re.compile(
    r"(?:و(?:[أا]ضاف|تابع|[أا]ردف|استطرد|زاد|مض[ىت]|ختم|اختتم)(?:ت|وا)?"
    r"|(?:قال|[أا]ضاف|تابع|يقول|تقول|س[أا]ل|تساءل|رد|[أا]جاب|هتف|صاح|صرخ|كتب)(?:ت|وا)?"
    r"|(?:مضيف|مؤكد|مشير|موضح|متابع|مشدد|معتبر|متسائل|متهم|محذر|مطالب|قائل|لافت|معلن)(?:ا|ة|ين)"
    r"|ثم|هكذا|بهذه|بحسب|حسب\w*|وفق\w*|نقلا|ردا|قبل|على حد|كما قال|في [إا]شارة"
    r"|ف\w+)\b"
)
_LAST_WORD = re.compile(r"[^\W\d_]*$")
# Vowel signs and marks that cannot be seen come anywhere in a word; no list above has them.
_SIGNS = re.compile(rf"[\u064b-\u065f\u0670{INVISIBLE}]")


@dataclass(slots=True)
class Candidate:
    """A run of terminators with text after it on the same line.

    All numbers are offsets into `text`: the sentence began at `sentence`, the run is
    `text[start:after]`, with its closing quotes and brackets `text[start:end]`, and the text
    continues at `next`. `enclosure` holds the offsets of the quotation marks or brackets around
    `start`.
    """

    text: str
    sentence: int
    start: int
    after: int
    end: int
    next: int
    enclosure: tuple[int, int] | None
    # The run of terminators; with its closing marks if they too end in one, as in «..".».
    mark: str = field(init=False)
    # The few characters of the sentence before the run, and those with which the text continues,
    # without vowel signs.
    context: str = field(init=False)
    following: str = field(init=False)
    # Whether nothing visible separates the run from what follows.
    is_tight: bool = field(init=False)

    def __post_init__(self) -> None:
        text = self.text
        self.mark = text[self.start : self.end if text[self.end - 1] in TERMINATORS else self.after]
        self.context = _SIGNS.sub("", text[max(self.sentence, self.start - 32) : self.start])
        self.following = _SIGNS.sub("", text[self.next : self.next + 32])
        self.is_tight = not text[self.after : self.next].strip(INVISIBLE)


def is_in_token(candidate: Candidate) -> bool:
    """3.5, 12.10.2024, 10.0.0.1, www.site.com/a?b, v2.3, .NET, العربية.نت: no space after it."""
    if not candidate.is_tight:
        return False
    if candidate.following[:1] in _AFTER_IN_TOKEN:
        before = candidate.context[-1:]
        return before in _BEFORE_IN_TOKEN or (candidate.mark == "." and not before.strip())
    return candidate.mark == "." and bool(_ARABIC_DOMAIN.match(candidate.following))


def is_pause(candidate: Candidate) -> bool:
    """Two dots, three or … in mid-line are a pause, unless a new report follows (.. وقال)."""
    is_ellipsis = candidate.mark != "." and set(candidate.mark) <= {".", "…"}
    return is_ellipsis and not _NEW_REPORT.match(candidate.following)


def is_followed_by_continuation(candidate: Candidate) -> bool:
    """A comma, a semicolon, a colon or a small Latin letter cannot begin a sentence."""
    following = candidate.following[:1]
    return following in _MIDDLE or (following.islower() and candidate.context[-1:].isascii())


def is_abbreviation(candidate: Candidate) -> bool:
    """د. محمد، أ.د.، م. أ. الحسيني، ص. 12، ق.م.، هـ.، أ.ف.ب، U.S., J. R., vs.، إلخ. في"""
    if candidate.mark != ".":
        return False
    context, following = candidate.context, candidate.following
    word = _LAST_WORD.findall(context)[0]
    if _ET_CETERA.fullmatch(word):
        return bool(_CONTINUES.match(following))
    if not _INITIAL.fullmatch(word):
        return bool(_ABBREVIATION.fullmatch(word))
    if _SPACED_ACRONYM.search(context) or _NEW_SENTENCE.match(following):
        return False
    return not (_LETTER_AS_LABEL.search(context) and _AND.match(following))


def is_dotted_word(candidate: Candidate) -> bool:
    """إم.آي 5، سي.أن.أن، إ.س.را.ئي.ل، عسـ.ـكري: a stop between pieces of one word."""
    if candidate.mark != "." or not candidate.is_tight:
        return False
    context, following = candidate.context, candidate.following
    if _LETTER_NAME.fullmatch(_LAST_WORD.findall(context)[0]) and _LETTER_NAME.match(following):
        return True
    in_chain = _PIECE_BEFORE.search(context) or _PIECE_AFTER.match(following)
    return bool(in_chain) and not _NEW_SENTENCE.match(following)


def is_enclosed(candidate: Candidate) -> bool:
    """The mark is inside a short quotation or bracket, or ends a remark in brackets."""
    if candidate.enclosure is None:
        return False
    opening, closing = candidate.enclosure
    if closing >= candidate.end:
        return closing - opening <= SHORT_ENCLOSURE
    is_remark = candidate.text[opening] in "([" and opening > candidate.sentence
    return is_remark and candidate.end == closing + 1


def is_carried_on_after_quotation(candidate: Candidate) -> bool:
    """«قال: "لن نتراجع." وأضاف»، «بعنوان "من المسؤول؟" على»: the quotation ended, not the sentence.

    A question or a call without a colon before its quotation is a title or a slogan, and only a
    word with و begins a new sentence after it.
    """
    if candidate.text[candidate.end - 1] not in CLOSING_QUOTES:
        return False
    if _AFTER_QUOTATION.match(candidate.following):
        return True
    if candidate.enclosure is None or candidate.mark[-1] not in _CALLS:
        return False
    opening = candidate.enclosure[0]
    is_speech = candidate.text[max(0, opening - 3) : opening].rstrip().endswith(":")
    return not is_speech and not _AND.match(candidate.following)


RULES: tuple[Callable[[Candidate], bool], ...] = (
    is_in_token,
    is_pause,
    is_followed_by_continuation,
    is_abbreviation,
    is_dotted_word,
    is_enclosed,
    is_carried_on_after_quotation,
)
