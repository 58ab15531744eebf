"""Subgroups (slices) of sentences: by length, wording, source, year and the file's columns.

Every sentence is in exactly one slice of each dimension.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.arrays import IntArray
from training.evaluate.wording import has_communique_wording, has_negation, has_quotation
from training.labelled.sentence import LabelledSentence

SMALL = 30
"""A slice with fewer sentences is marked as small: its metrics are unreliable."""

NOT_GIVEN = "(not given)"
OTHERS = "(all others)"

_LENGTHS = (5, 10, 20, 30, 50)  # words: the upper ends of the bands
_LEAST = 5  # a value needs this many sentences for a slice of its own,
_MOST = 15  # and must be among this many most frequent ones

_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)")


@dataclass(frozen=True, slots=True)
class Slice:
    """The sentences with one `value` of a `dimension`; `rows` are their numbers, ascending."""

    dimension: str
    value: str
    rows: IntArray


def slices(sentences: Sequence[LabelledSentence]) -> list[Slice]:
    """Split the sentences along every dimension in which they differ.

    Dimensions are length in words, wording (see `evaluate.wording`), source, year, whether the
    annotator was sure, and every other column of short strings. Rare values are merged.
    """
    found = []
    for dimension, value_of in _FIXED.items():
        found += _parted(dimension, [value_of(sentence) for sentence in sentences])
    found += _parted("source", _pooled([sentence.source for sentence in sentences]))
    found += _parted("year", _pooled([year(sentence.date) for sentence in sentences]))
    columns = dict.fromkeys(name for sentence in sentences for name in sentence.columns)
    known = {part.dimension for part in found}
    for name in columns:
        values = _pooled([sentence.columns.get(name) for sentence in sentences])
        found += _parted(f"column {name}" if name in known else name, values)
    return found


def length_band(words: int) -> str:
    """Return the length band of a sentence, as in "11–20 words"."""
    low = 1
    for high in _LENGTHS:
        if words <= high:
            return f"{low}–{high} words"
        low = high + 1
    return f"{low} words and more"


def year(date: str | None) -> str | None:
    """Return the year in a date of any form, in Western digits."""
    found = _YEAR.search(date or "")
    return str(int(found[0])) if found and 1900 <= int(found[0]) <= 2100 else None


def _pooled(values: Sequence[str | None]) -> list[str]:
    """Return a value for every sentence, with the rare ones merged."""
    counts = Counter(value for value in values if value is not None)
    kept = {value for value, count in counts.most_common(_MOST) if count >= _LEAST}
    return [NOT_GIVEN if value is None else value if value in kept else OTHERS for value in values]


def _parted(dimension: str, values: Sequence[str]) -> list[Slice]:
    """Return one slice per value, in the order of the table; none if all values are equal."""
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    if len(rows) < 2:
        return []
    last = {OTHERS: 1, NOT_GIVEN: 2}
    # Bands and years are sorted by their number, other values by their count.
    ordered = sorted(
        rows,
        key=lambda value: (
            last.get(value, 0),
            _leading_number(value) if dimension in ("length", "year") else -len(rows[value]),
            value,
        ),
    )
    return [Slice(dimension, value, np.array(rows[value])) for value in ordered]


def _leading_number(value: str) -> int:
    digits = re.match(r"\d+", value)
    return int(digits[0]) if digits else 0


def _yes_no(tells: Callable[[str], bool]) -> Callable[[LabelledSentence], str]:
    return lambda sentence: "yes" if tells(sentence.text) else "no"


_FIXED: dict[str, Callable[[LabelledSentence], str]] = {
    "length": lambda sentence: length_band(len(sentence.text.split())),
    "negation": _yes_no(has_negation),
    "quotation": _yes_no(has_quotation),
    "communiqué wording": _yes_no(has_communique_wording),
    "annotator sure": lambda sentence: "yes" if sentence.sure else "no",
}
