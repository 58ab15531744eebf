"""Two models on the same sentences: the exact test and the paired bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from training.evaluate.comparison import Verdict, compare, mcnemar

NAMES = ("a", "b", "c")


def _answers(seed, size, right, other_right):
    """True labels and those of two models that are right with the given probabilities."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(NAMES), size)

    def told(share):
        return np.where(rng.random(size) < share, labels, (labels + 1) % len(NAMES))

    return labels, told(right), told(other_right)


@given(st.integers(0, 3000), st.integers(0, 3000))
@settings(max_examples=200, deadline=None)
def test_the_exact_test_is_the_binomial_one_of_scipy(one, other):
    expected = binomtest(one, one + other).pvalue if one + other else 1
    assert mcnemar(one, other) == pytest.approx(expected, rel=1e-9)


def test_no_pair_that_differs_tells_nothing():
    assert mcnemar(0, 0) == 1


def test_many_pairs_are_no_trouble():
    assert mcnemar(20_000, 21_000) == pytest.approx(binomtest(20_000, 41_000).pvalue, rel=1e-6)
    assert mcnemar(0, 5_000) == 0  # under the smallest number that a float holds


answers = st.builds(
    _answers,
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 200),
    right=st.floats(0, 1),
    other_right=st.floats(0, 1),
)


@given(answers)
@settings(max_examples=60, deadline=None)
def test_changing_places_turns_every_sign(sample):
    labels, model, other = sample
    one = compare(labels, model, other, NAMES, name="b", resamples=50)
    two = compare(labels, other, model, NAMES, name="a", resamples=50)
    assert one.mcnemar_p == two.mcnemar_p
    assert one.only_model_right == two.only_other_right
    assert one.macro_f1.difference == -two.macro_f1.difference
    assert one.accuracy.model == two.accuracy.other
    parts = one.both_right + one.only_model_right + one.only_other_right + one.both_wrong
    assert parts == one.sentences == len(labels)
    assert 0 <= one.better <= 1


def test_a_model_is_as_good_as_itself():
    labels, model, _ = _answers(1, 300, 0.8, 0)
    found = compare(labels, model, model, NAMES, name="itself")
    assert found.mcnemar_p == 1
    assert found.better == 0.5
    for pair in (found.macro_f1, found.accuracy, *found.labels.values()):
        assert (pair.difference, pair.interval.low, pair.interval.high) == (0, 0, 0)
    assert found.verdict is Verdict.UNDECIDED
    assert found.conclusion.startswith("neither better nor worse")


def test_a_clearly_better_model_is_found_and_the_worse_one_too():
    labels, good, poor = _answers(2, 500, 0.9, 0.7)
    found = compare(labels, good, poor, NAMES, name="poor")
    assert found.mcnemar_p < 0.001
    assert found.better > 0.99
    assert 0 < found.macro_f1.interval.low < found.macro_f1.difference
    assert found.verdict is Verdict.BETTER
    assert compare(labels, poor, good, NAMES, name="good").verdict is Verdict.WORSE


def test_pairing_tells_models_apart_that_their_own_intervals_do_not():
    """One model is the other with a few answers mended: each alone varies far more than both."""
    labels, other, _ = _answers(3, 400, 0.75, 0)
    model = other.copy()
    mended = np.flatnonzero(other != labels)[:12]
    model[mended] = labels[mended]
    found = compare(labels, model, other, NAMES, name="other")
    assert found.macro_f1.interval.low > 0
    assert found.macro_f1.interval.high - found.macro_f1.interval.low < 0.04
