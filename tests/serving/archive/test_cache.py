"""The cache of an archive run: the same answers, each text scored once while it is remembered."""

from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from serving.archive.cache import CachedClassifier
from serving.classifier import Classifier
from serving.records import Refusal
from serving.text.sentences import Sentence, split_sentences


class Counting:
    """Answers with the text itself, and notes what it was asked."""

    model = "counting@0"

    def split(self, document: str) -> Iterable[Sentence]:
        return split_sentences(document)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def classify(self, sentences: Sequence[str]) -> list[Refusal]:
        self.asked += sentences
        return [Refusal(text) for text in sentences]


TEXTS = st.sampled_from(["نفت", "نفت ", "", "خ" * 999, "خ" * 5_000, "خ" * 5_001, "\ud800" * 2_000])


@given(st.lists(st.lists(TEXTS, max_size=6), max_size=12), st.integers(0, 4))
def test_answers_are_those_of_the_classifier_whatever_is_remembered(chunks, capacity):
    counting = Counting()
    cached = CachedClassifier(counting, capacity)
    for chunk in chunks:
        assert [answer.reason for answer in cached.classify(chunk)] == chunk
    assert cached.sentences == sum(map(len, chunks))
    assert cached.sentences - cached.repeats == len(counting.asked)


@given(st.lists(TEXTS, max_size=30))
def test_with_room_for_all_each_text_is_scored_once(texts):
    counting = Counting()
    cached = CachedClassifier(counting, 100)
    for text in texts:
        cached.classify([text])
    assert sorted(counting.asked) == sorted(set(texts))


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
