"""One score for one sentence: the model that ships, alone, in any company, on any threads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.classifier import Classifier

# Lengths from a word to more than the model reads, padding of every size in between.
LONG = "وقال المتحدث إن القوات تصدت للهجوم وإن التحقيق مستمر في ملابساته، " * 12


@pytest.fixture(scope="module")
def on_one_thread() -> Classifier:
    return Classifier.load(threads=1)


@pytest.fixture(scope="module")
def on_three_threads() -> Classifier:
    return Classifier.load(threads=3)


@pytest.fixture(scope="module")
def texts(authored) -> list[str]:
    return [row["text"] for row in authored[::80]] + ["نفى.", "هجوم", LONG, LONG[:400]]


@pytest.fixture(scope="module")
def alone(on_one_thread, texts):
    return [on_one_thread.classify([text])[0] for text in texts]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_sentence_scores_the_same_in_any_company(on_three_threads, texts, alone, data):
    chosen = data.draw(
        st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=30), label="sentences"
    )
    assert on_three_threads.classify([texts[i] for i in chosen]) == [alone[i] for i in chosen]
