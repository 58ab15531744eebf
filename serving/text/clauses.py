"""Cuts a sentence that is too long for the model into clauses, so that every word is read.

Where to cut is a trade: `serving.text.clause_boundaries` scores every place between two words, and
the cuts with the highest sum of scores win under the condition that every piece fits. So a text
without full stops is cut wherever a sentence probably ends, a long sentence only as often as it
must be, and then at the places that hurt least.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

from serving.records import Sentence
from serving.text.clause_boundaries import boundary_scores
from serving.text.sentences import LONGEST

# Sentences whose tokens are counted together.
COUNTED = 64

Span = tuple[int, int]
# The numbers of tokens of some texts, without those that the model adds around each.
TokenCounter = Callable[[Sequence[str]], Sequence[int]]

# Words are parted by white space, or by a mark that no space follows.
_WORD = re.compile(r"\S+?(?:(?<=[،؛,;…])|(?<=\.\.))(?=[^\W\d_])|\S+")
_OPENING = frozenset("([{«“‘-–—•")
_AFTER_WORD = re.compile(r"[\W_]*\Z")
# The signs of a pause, strongest first, and the mark that the score knows them by.
_PAUSES = {"..": "..", "…": "..", "؛": "؛", ";": "؛", "،": "،", ",": "،", ":": ":"}


def cut_clauses(
    sentences: Iterable[Sentence], count: TokenCounter, limit: int
) -> Iterator[Sentence]:
    """Yield the sentences in order, those that do not fit cut into clauses.

    A text fits if it has at most `limit` tokens by `count`. A clause fits too, unless it is a
    single word. Every character that is not white space is in exactly one clause; offsets refer to
    the sentences' document. Takes time linear in the length of what it cuts, and no sentence is
    taken much before its clauses are asked for.
    """
    for parts in _groups(part for sentence in sentences for part in _parts(sentence)):
        sizes = count([part.text for part in parts])
        for part, size in zip(parts, sizes, strict=True):
            if size <= limit:
                yield part
            else:
                yield from _clauses(part, count, limit)


def _groups(parts: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Yield the parts in groups whose tokens are counted together: a few, or one that is long."""
    group: list[Sentence] = []
    characters = 0
    for part in parts:
        group.append(part)
        characters += len(part.text)
        if len(group) == COUNTED or characters >= LONGEST:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _parts(sentence: Sentence) -> Iterator[Sentence]:
    """Yield an endless sentence in parts of LONGEST characters, cut at white space if it can be.

    Its clauses are chosen part by part, so that time and memory for the next are bounded.
    """
    text, start = sentence.text, 0
    while len(text) - start > LONGEST:
        end = max(text.rfind(" ", start, start + LONGEST), text.rfind("\n", start, start + LONGEST))
        if end <= start:
            end = start + LONGEST
        yield Sentence(text[start:end], sentence.start + start, sentence.start + end)
        start = end
        while start < len(text) and text[start].isspace():
            start += 1
    if start < len(text):
        yield Sentence(text[start:], sentence.start + start, sentence.end)


def _clauses(sentence: Sentence, count: TokenCounter, limit: int) -> Iterator[Sentence]:
    """Yield the clauses of a sentence that does not fit."""
    text = sentence.text
    spans = _words(text)
    words = [text[start:end] for start, end in spans]
    scores = [*boundary_scores(words, [_mark_after(word) for word in words]), 0]
    distinct = list(dict.fromkeys(words))
    counted = dict(zip(distinct, count(distinct), strict=True))
    sizes = [counted[word] for word in words]

    def fitting(first: int, last: int, room: int, step: int = 1) -> Iterator[Span]:
        """Yield the pieces of words first to last, of at most `room` by the sum of the words."""
        ends = [first + end for end in _best_ends(sizes[first:last], scores[first:last], room)]
        pieces = list(pairwise([first, *ends]))
        found = count([text[spans[start][0] : spans[end - 1][1]] for start, end in pieces])
        for (start, end), size in zip(pieces, found, strict=True):
            if size > limit and end - start > 1:
                # Together the words have more tokens than one by one: a tokenizer may do that. The
                # steps grow, so that there are few, however little each of the words seems to have.
                yield from fitting(start, end, room - step * (size - limit), 2 * step)
            else:
                yield spans[start][0], spans[end - 1][1]

    for start, end in fitting(0, len(words), limit):
        yield Sentence(text[start:end], sentence.start + start, sentence.start + end)


def _words(text: str) -> list[Span]:
    """Return the words of the text with the marks around them, stripped, in order."""
    words: list[Span] = []
    opening: int | None = None
    for match in _WORD.finditer(text):
        start, end = match.span()
        if any(map(str.isalnum, match[0])):
            words.append((start if opening is None else opening, end))
            opening = None
        elif opening is None and words and match[0][0] not in _OPENING:
            words[-1] = (words[-1][0], end)
        elif opening is None:
            opening = start
    if opening is not None:
        words.append((words.pop()[0] if words else opening, len(text.rstrip())))
    return words


def _mark_after(word: str) -> str:
    """Return the strongest mark among the signs after a word, "" for none."""
    signs = _AFTER_WORD.findall(word[-8:])[0]
    return next((mark for sign, mark in _PAUSES.items() if sign in signs), "")


def _best_ends(sizes: Sequence[int], scores: Sequence[int], room: int) -> list[int]:
    """Return after how many words each piece ends: the ends whose scores have the highest sum.

    No piece has a greater sum of sizes than `room`, unless it is one word.
    """
    reached = [0, *accumulate(sizes)]
    best = [0]  # the highest sum for the words before each place, if a piece ends there
    begins = [0]  # where the last of those pieces begins
    window: deque[int] = deque()  # places where a piece may begin, the highest sum first
    for end in range(1, len(sizes) + 1):
        while window and best[window[-1]] < best[end - 1]:
            window.pop()
        window.append(end - 1)
        while reached[end] - reached[window[0]] > room and len(window) > 1:
            window.popleft()
        begins.append(window[0])
        best.append(best[window[0]] + scores[end - 1])
    ends = [len(sizes)]
    while begins[ends[-1]]:
        ends.append(begins[ends[-1]])
    return ends[::-1]
