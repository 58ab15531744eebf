"""Punctuated news with and without its marks: clause cutting learns from it and is measured on it.

The file has one article per line, in plain text or .xz, with punctuation. Every 20th article is
held out: the training script skips what the benchmark reads.
"""

import lzma
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

STOP = "."
HELD_OUT = 20
# Words of a sentence at most: in an article with a longer one, marks are probably missing.
LONGEST = 90

# What takes the place of a full stop in the second reading of an article. In one of ten nothing.
INSTEAD = random.Random(0).choices(["،", "؛", "..", ""], [70, 10, 10, 10], k=4_099)

_TOKEN = re.compile(r"\d+(?:(?: ?[.,٫] ?|/)\d+)*|\w+|[^\w\s]")
_ELLIPSIS = frozenset(".…")
_ENDS = frozenset(".…؟!?")
_PAUSES = {"،": "،", ",": "،", "؛": "؛", ";": "؛", ":": ":"}
_TIGHT = re.compile(r" (?=[.،,؛;:؟?!…)\]»”])|(?<=[(\[«“]) ")


@dataclass(frozen=True, slots=True)
class Article:
    """An article's words, and for every word the mark after it: STOP, «،», «؛», «:», «..» or ""."""

    words: list[str]
    marks: list[str]
    sentences: list[str]

    @property
    def ends(self) -> set[int]:
        """The numbers of the words after which a sentence ends, the last word's aside."""
        return {place for place, mark in enumerate(self.marks[:-1]) if mark == STOP}

    @property
    def text(self) -> str:
        """The article without its marks."""
        return " ".join(self.words)


def read_articles(path: Path, *, held_out: bool) -> Iterator[Article]:
    """Yield the well punctuated articles that are held out, or the others."""
    opened = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            if (number % HELD_OUT == 0) == held_out and (article := read_article(line)):
                yield article


def read_article(line: str) -> Article | None:
    """Return the article of a line from its first full stop on, since its headline has none.

    None if it is short or badly punctuated.
    """
    tokens = [token.replace(" ", "") for token in _TOKEN.findall(line)]
    words: list[str] = []
    marks: list[str] = []
    ends: list[int] = []
    for place, token in enumerate(tokens):
        if any(map(str.isalnum, token)):
            words.append(token)
            marks.append("")
        elif words and (mark := _mark(words[-1], tokens[place - 1 : place + 2])):
            if mark == STOP and marks[-1] != STOP:
                ends.append(place + 1)
            marks[-1] = STOP if STOP in (mark, marks[-1]) else mark
    if len(ends) < 5:
        return None
    first, last = marks.index(STOP) + 1, len(marks) - marks[::-1].index(STOP)
    stops = [place for place, mark in enumerate(marks[:last]) if mark == STOP]
    if max(end - start for start, end in pairwise(stops)) > LONGEST:
        return None
    sentences = [_TIGHT.sub("", " ".join(tokens[start:end])) for start, end in pairwise(ends)]
    return Article(words[first:last], marks[first:last], sentences)


def readings(article: Article, number: int) -> Iterator[list[str]]:
    """Yield the article's marks as they are shown to the score: none at all, then commas."""
    yield [""] * len(article.marks)
    yield [
        INSTEAD[(number + place) % len(INSTEAD)] if mark == STOP else mark
        for place, mark in enumerate(article.marks)
    ]


def _mark(word: str, around: list[str]) -> str:
    """Return the mark that the middle one of three tokens is, "" for none."""
    token = around[1]
    following = around[2] if len(around) > 2 else ""
    if token in _ELLIPSIS and (around[0] in _ELLIPSIS or following in _ELLIPSIS):
        return ".."
    if token == "." and (len(word) == 1 or (word.isalpha() and f"{word}{following}".isascii())):
        return ""  # an initial, or an address
    return STOP if token in _ENDS else _PAUSES.get(token, "")
