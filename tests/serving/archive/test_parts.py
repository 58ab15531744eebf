"""Limits, and a cache that never changes an answer."""

import pytest

from serving.archive.cache import CachedClassifier
from serving.archive.limit import Limit
from serving.archive.parts import PartSummary
from serving.classifier import Classifier
from serving.errors import InputError


def total(records, rejected):
    return PartSummary(
        records=records, rejected=rejected, rejection=("a.csv: line 2: bad", "Mend it.")
    )


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0", Limit(count=0)),
        ("20", Limit(count=20)),
        ("0.05", Limit(share=0.05)),
        ("5%", Limit(share=0.05)),
        ("1.0", Limit(share=1.0)),
    ],
)
def test_a_limit_is_a_count_or_a_share(text, limit):
    assert Limit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5", "200%", "nan", "٥"])
def test_what_is_neither_is_refused(text):
    with pytest.raises(ValueError, match="neither a count"):
        Limit.parse(text)


def test_a_share_is_judged_from_a_hundred_records_on():
    Limit().check(total(99, 50), ended=False)
    with pytest.raises(InputError, match="50 of 100 records"):
        Limit().check(total(100, 50), ended=False)


def test_when_every_record_is_bad_the_error_is_that_of_the_first():
    with pytest.raises(InputError, match=r"a\.csv: line 2: bad\nMend it"):
        Limit(count=1000).check(total(3, 3), ended=True)


def test_one_bad_record_of_ten_does_not_stop_a_run():
    Limit().check(total(10, 1), ended=True)


def test_repeats_are_answered_from_memory_and_alike():
    plain = Classifier.load("fast")
    cached = CachedClassifier(plain, capacity=3)
    sentences = [
        "نفت الوزارة الأنباء.",
        "هز انفجار وسط المدينة.",
        "نفت الوزارة الأنباء.",
        "…",
        "أ" * 3,
    ]
    for _ in range(3):
        assert cached.classify(sentences) == plain.classify(sentences)
    assert (cached.sentences, cached.repeats) == (15, 15 - 4 - 1 - 1)
