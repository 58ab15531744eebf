"""Cuts a document into sentences whose offsets point into the document's own text.

A document is read line by line, since a line break ends a sentence; only in hard-wrapped prose are
lines joined first. On a line the tails of pasted tweets are set apart. Every run of terminators is
a candidate, and `serving.text.sentence_rules` says after which of them the sentence continues.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise

from serving.records import Sentence
from serving.text.sentence_rules import (
    CLOSING_QUOTES,
    DOUBLE_QUOTES,
    INVISIBLE,
    RULES,
    TERMINATORS,
    Candidate,
)

Span = tuple[int, int]

_BREAKS = r"\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_LINE = re.compile(rf"\S(?:[^{_BREAKS}]*\S)?")
_ONE_BREAK = re.compile(rf"[^\S{_BREAKS}]*(?:\r\n|[{_BREAKS}])[^\S{_BREAKS}]*")
_BULLET = re.compile(r"[-–—•*●▪■◆○·]|\d{1,3}[.)\-–](?!\d)")

# A letter that belongs to a word: #tags and @names are not words, nor is a written line break.
_WORD = re.compile(r"(?<![\w#@\\])[^\W\d_]|(?:(?<=\d)|(?<=\\[nr]))[^\W\d_]")
_ENDS = frozenset(TERMINATORS)
_DIGIT = re.compile(r"\d")
_TERMINATORS = re.compile(rf"[{TERMINATORS}]+")
# What belongs to the terminators before it: brackets, more terminators (also after a space, as in
# ". ."), and quotation marks with no space before and no word after them.
_CLOSING = re.compile(
    rf"[)\]}}»›{INVISIBLE}]|&(?:quot|#34);"
    rf"|[{CLOSING_QUOTES}](?![\w#@«“(\[])"
    rf"|[{TERMINATORS}]+"
    rf"|\s++[{TERMINATORS}]++(?=[\s)\]}}{INVISIBLE}{CLOSING_QUOTES}]|\Z)"
)
_ENCLOSURE = re.compile(
    rf"(?:(?<!\S)[{DOUBLE_QUOTES}]|[{DOUBLE_QUOTES}](?=[\w#@]))[^{DOUBLE_QUOTES}]*[{DOUBLE_QUOTES}]"
    r"|«[^«»]*»|\([^()]*\)|\[[^\[\]]*\]"
)

# The tail of a pasted tweet: its links and «— name (@handle) date», or what the tweet's page has
# for a title (`https://t.co/x" / X`), or at least the link of its picture.
_TWEET_HINT = re.compile(r"\(@|pic\.twitter|pic\.x\.com|t\.co/")
_SHORT_LINK = r"(?:https?://)?t\.co/[A-Za-z0-9]++"
_PICTURE = r"(?:https?://)?pic\.(?:twitter|x)\.com/[A-Za-z0-9]++"
_LINK = rf"(?:{_SHORT_LINK}|{_PICTURE})"
_DATE = (
    r"(?:\d{1,2}[:.]\d{2}\s*(?:AM|PM|ص|م)?\s*[·•-]\s*)?"
    r"(?:[^\W\d_]{3,9}\.?\s+\d{1,2}\s*[,،]\s*\d{4}"
    r"|\d{1,2}\s+[^\W\d_]{2,8}(?:[ /]{1,3}[^\W\d_]{2,8}){0,3}\s*[,،]?\s*\d{4})(?!\d)"
)
_TWEET_TAIL = re.compile(
    rf"(?:{_LINK}\s*+){{0,9}}+(?:[—–]|(?<!\S)--?)[^—–]{{0,60}}?\(@[A-Za-z0-9_]{{1,20}}\)"
    rf"(?:[\s{INVISIBLE}]*+{_DATE}|\s*+\Z)"
    rf"|{_LINK}[{DOUBLE_QUOTES}]\s*+"
    rf"(?:/\s*+(?:X|Twitter)\b|[^{DOUBLE_QUOTES}]{{0,60}}?\bon (?:X|Twitter)\b)"
    rf"|(?:{_SHORT_LINK}\s*+){{0,9}}+{_PICTURE}(?:\s*+{_LINK}){{0,9}}+"
)

# What parts the statements of a ticker: a bar, an emoji, or a line break that was written out as a
# backslash and a letter. Flags stand for words, and in a Latin word a backslash is part of a path.
_WRITTEN_BREAK = r"(?<!\\)(?:(?<![A-Za-z0-9:])\\++[nr]|\\++[nr](?![A-Za-z0-9]))"
_BAR = r"(?:(?<![A-Za-z0-9])[|｜]|[|｜](?![A-Za-z0-9]))"
_EMOJI = "[\u25a0-\u25ff\u2600-\u27bf\u2b00-\u2bff\U0001f300-\U0001faff][\ufe0f\u200d]*+"
_SEPARATOR = re.compile(rf"(?:(?:{_WRITTEN_BREAK}|{_BAR}|{_EMOJI})\s*+)++")
_BREAK_OR_BAR = re.compile(rf"{_WRITTEN_BREAK}|{_BAR}")
_BREAK_WRITTEN_OUT = re.compile(_WRITTEN_BREAK)
# A bar or an emoji parts two statements if both have so many words: «عاجل | …» is one.
_WORDS_OF_A_STATEMENT = 3
# A sentence of so many characters ends at the next candidate, whatever the rules say; no newspaper
# has one. So sentences come one after the other, however hostile the document is.
LONGEST = 50_000
_AFTER_TERMINATOR = frozenset(CLOSING_QUOTES + INVISIBLE + ")]} ")


def split_sentences(document: str) -> list[Sentence]:
    """Return the sentences of `document` in order, with offsets in code points.

    Every character that is not white space is in exactly one sentence. No sentence is empty, or
    begins or ends with white space. Takes time linear in the document's length.
    """
    return list(sentences_of(document))


def sentences_of(document: str) -> Iterator[Sentence]:
    """Yield the same sentences as they are found: who asks for few does not wait for all."""
    for line in _paragraphs(document):
        for start, end in _sentences_of(document, line):
            yield Sentence(document[start:end], start, end)


def _paragraphs(document: str) -> Iterator[Span]:
    """Yield the lines that are not blank, stripped; hard-wrapped lines are joined."""
    lines = [match.span() for match in _LINE.finditer(document)]
    wrapped = _wrapped_breaks(document, lines)
    start = 0
    for number, (line_start, end) in enumerate(lines):
        if number == 0 or number - 1 not in wrapped:
            start = line_start
        if number not in wrapped:
            yield start, end


def _wrapped_breaks(document: str, lines: list[Span]) -> set[int]:
    """Return the numbers of the lines that only hard wrapping separates from the line below.

    Such a break is a single one between two lines of text of which the upper does not end a
    sentence and the lower is no item of a list, it is full (the lower's first word had no room
    left in the upper; the document's widest line is the room), and the lines joined end with a
    terminator, as prose does. The document counts as wrapped when its widest line has 50 to 100
    characters and when at least three, and four fifths, of its breaks after lines that end no
    sentence are full. So headlines, tickers and texts with a sentence a line stay as they are.
    """
    widest = max((end - start for start, end in lines), default=0)
    if not 50 <= widest <= 100:
        return set()
    unfinished = [
        (number, upper, lower)
        for number, (upper, lower) in enumerate(pairwise(lines))
        if _ONE_BREAK.fullmatch(document, upper[1], lower[0])
        and not _ends_sentence(document, upper)
        and not _BULLET.match(document, *lower)
    ]
    full = {
        number
        for number, (start, end), lower in unfinished
        if end - start + 1 + len(document[slice(*lower)].split(maxsplit=1)[0]) > widest
    }
    if len(full) < max(3, 0.8 * len(unfinished)):
        return set()
    wrapped: set[int] = set()
    for number in sorted(full, reverse=True):
        if number + 1 in wrapped or _ends_sentence(document, lines[number + 1]):
            wrapped.add(number)
    return wrapped


def _ends_sentence(document: str, line: Span) -> bool:
    """Tell whether the line's last character, closing marks aside, is a terminator."""
    start, end = line
    while end > start and document[end - 1] in _AFTER_TERMINATOR:
        end -= 1
    return end > start and document[end - 1] in _ENDS


def _sentences_of(document: str, line: Span) -> Iterator[Span]:
    """Yield the line's sentences: its stretches of prose, cut, and its tails of tweets."""
    pieces = (
        piece
        for start, end, is_tail in _stretches(document, line)
        for piece in ([(start, end)] if is_tail else _statements(document, start, end))
    )
    return _join_wordless(document, pieces)


def _stretches(document: str, line: Span) -> Iterator[tuple[int, int, bool]]:
    """Yield start and end of what the line consists of, and whether it is the tail of a tweet."""
    start, end = line
    if not _TWEET_HINT.search(document, start, end):
        yield start, end, False
        return
    parts: list[tuple[int, int, bool]] = []
    for tail in _TWEET_TAIL.finditer(document, start, end):
        parts += [(start, tail.start(), False), (*tail.span(), True)]
        start = tail.end()
    for part_start, part_end, is_tail in [*parts, (start, end, False)]:
        text = document[part_start:part_end]
        if stripped := text.strip():
            first = part_start + len(text) - len(text.lstrip())
            yield first, first + len(stripped), is_tail


def _statements(document: str, start: int, end: int) -> Iterator[Span]:
    """Yield the sentences of a stretch of prose, which separators may part into statements.

    A bar or a written line break belongs to the statement before it. So does an emoji, unless it
    follows one of those or the stretch begins with an emoji: then it begins the next statement.
    """
    separators = list(_SEPARATOR.finditer(document, start, end))
    if not separators:
        yield from _cut(document, start, end)
        return
    leads = separators[0].start() == start and not _BREAK_OR_BAR.search(separators[0][0])
    edges = [start, *(edge for match in separators for edge in match.span()), end]
    words = [len(_WORD.findall(document, *edges[i : i + 2])) for i in range(0, len(edges), 2)]
    for match, before, after in zip(separators, words, words[1:], strict=False):
        is_break = _BREAK_WRITTEN_OUT.search(document, *match.span())
        if not is_break and min(before, after) < _WORDS_OF_A_STATEMENT:
            continue
        marks = list(_BREAK_OR_BAR.finditer(document, *match.span()))
        if not marks and _ends_sentence(document, (start, match.start())):
            continue  # its sentence has ended, and the emoji begins the next one
        middle = marks[-1].end() if marks else match.start() if leads else match.end()
        yield from _statement(document, start, match.start(), middle)
        start = _skip_space(document, middle, end)
    if start < end:
        yield from _cut(document, start, end)


def _statement(document: str, start: int, text_end: int, end: int) -> Iterator[Span]:
    """Yield the sentences of a statement, the last with the separator up to `end`."""
    *whole, (last, _) = _cut(document, start, _rstrip(document, start, text_end))
    yield from whole
    yield last, _rstrip(document, start, end)


def _rstrip(document: str, start: int, end: int) -> int:
    """Return where the text of `document[start:end]` ends, white space aside."""
    while end > start and document[end - 1].isspace():
        end -= 1
    return end


def _cut(document: str, start: int, end: int) -> Iterator[Span]:
    """Yield the sentences of a stretch of prose that neither begins nor ends with white space."""
    enclosures = [
        (match.start(), match.end() - 1) for match in _ENCLOSURE.finditer(document, start, end)
    ]
    closings = {closing for _, closing in enclosures}
    sentence = position = start
    for run in _TERMINATORS.finditer(document, start, end):
        if run.start() < position:
            continue  # it closes the run before it, like the stop of «…!".»
        position = _closing_end(document, run.end(), end, closings)
        following = _skip_space(document, position, end)
        if following == end:
            break
        before = bisect_right(enclosures, (run.start(), end)) - 1
        is_inside = before >= 0 and enclosures[before][1] > run.start()
        candidate = Candidate(
            text=document,
            sentence=sentence,
            start=run.start(),
            after=run.end(),
            end=position,
            next=following,
            enclosure=enclosures[before] if is_inside else None,
        )
        is_endless = position - sentence > LONGEST
        if is_endless or not any(goes_on(candidate) for goes_on in RULES):
            yield sentence, position
            sentence = following
    yield sentence, end


def _closing_end(document: str, position: int, end: int, closings: set[int]) -> int:
    """Return where the marks that close the sentence before `position` end."""
    while True:
        if mark := _CLOSING.match(document, position, end):
            position = mark.end()
            continue
        following = _skip_space(document, position, end)
        if following not in closings:
            return position
        position = following + 1


def _skip_space(document: str, position: int, end: int) -> int:
    """Return the offset of the first character from `position` on that is not white space."""
    while position < end and document[position].isspace():
        position += 1
    return position


def _join_wordless(document: str, pieces: Iterable[Span]) -> Iterator[Span]:
    """Join every piece without a word to a neighbour and yield what is left.

    A number goes to the piece after it, which it counts; the rest (a stray stop, an emoji, a
    tweet's tags) goes to the piece before it. A line without any word stays one piece,
    if it is not endless.
    """
    last: Span | None = None  # the last piece with a word, to which others may be joined
    waiting: Span | None = None  # what has no word and is not joined yet
    for start, end in pieces:
        if _WORD.search(document, start, end):
            if last:
                yield last
            last, waiting = (waiting[0] if waiting else start, end), None
        elif last and not waiting and not _DIGIT.search(document, start, end):
            last = last[0], end
        else:
            waiting = (waiting[0] if waiting else start), end
        held = last or waiting
        if held and end - held[0] > LONGEST:
            yield held
            last, waiting = None, waiting if last else None
    if waiting:
        last = last[0] if last else waiting[0], waiting[1]
    if last:
        yield last
