"""How likely a sentence ends between two words of a text without full stops: a learned score.

The score is linear: each of the words around a place adds its weights, and so does a comma or a
semicolon at the place. `clause_weights.json` holds the weights, in hundredths of a logit, for
beginnings and ends of words and for a list of function words and verbs of saying. They are learned
by `benchmarks/train_clauses.py` from punctuated news whose marks were removed.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The words that count, as offsets from the word before the place: -1 and 0 are before it.
WINDOW = (-1, 0, 1, 2, 3)
# Writers who use commas rarely end a sentence without any mark. So a place without one has a mark
# of its own if there is a mark within so many words.
BARE = "bare"
NEAR = 16

_FOLDED = str.maketrans(
    {"أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ى": "ي", "ـ": None}
    | {chr(sign): None for sign in range(0x064B, 0x0660)}
)
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_LONGEST = 8


def features(word: str) -> list[str]:
    """Return the names of what the score sees of a word: its length, beginnings, ends, spelling."""
    word = _EDGES.sub("", word[:64]).translate(_FOLDED)
    if any(map(str.isdigit, word)):
        return ["<number>"]
    if word.isascii():
        return ["<latin>" if word else "<none>"]
    beginnings = [f"{word[:size]}-" for size in (1, 2, 3, 4) if len(word) > size]
    ends = [f"-{word[-size:]}" for size in (1, 2, 3) if len(word) > size]
    return [f"<{min(len(word), _LONGEST)}>", *beginnings, *ends, word]


def with_bare(marks: Sequence[str]) -> list[str]:
    """Return the marks, with BARE at the places without one that are near to a mark."""
    near = bytearray(len(marks))
    for place, mark in enumerate(marks):
        if mark:
            around = range(len(marks))[max(0, place - NEAR) : place + NEAR + 1]
            near[around.start : around.stop] = b"\x01" * len(around)
    return [mark or (BARE if near[place] else "") for place, mark in enumerate(marks)]


def boundary_scores(words: Sequence[str], marks: Sequence[str]) -> list[int]:
    """Return a score for every place between two words: above 0 where a sentence probably ends.

    `marks` holds for every word the mark after it: one of the keys of the weights of marks, or ""
    for none. Takes linear time.
    """
    weights = _Weights.load()
    seen = {word: weights.of(word) for word in {*words, ""}}
    before, after = -WINDOW[0], WINDOW[-1]
    rows = [seen[word] for word in [*[""] * before, *words, *[""] * after]]
    return [
        weights.marks[mark]
        + sum(row[slot] for slot, row in enumerate(rows[place : place + len(WINDOW)]))
        for place, mark in enumerate(with_bare(marks)[:-1])
    ]


@dataclass(frozen=True, slots=True)
class _Weights:
    """The contents of `clause_weights.json`."""

    marks: dict[str, int]
    words: dict[str, list[int]]

    @classmethod
    @cache
    def load(cls) -> "_Weights":
        path = Path(__file__).with_name("clause_weights.json")
        table = json.loads(path.read_text(encoding="utf-8"))
        return cls(**table)

    def of(self, word: str) -> list[int]:
        """Return what a word adds to the score of a place, by its offset in WINDOW."""
        known = [self.words[name] for name in features(word) if name in self.words]
        return [sum(column) for column in zip(*known, strict=True)] or [0] * len(WINDOW)
