"""Intervals hold what they should, and are those of resampling the sentences one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.evaluate.bootstrap import accuracy, bootstrap, interval, macro_f1, resample_counts
from training.evaluate.metrics import classification_metrics, confusion_matrix

NAMES = ("attack_report", "claim", "denial", "official_response", "other")


def _sample(seed, size, skill):
    """Labels and probabilities of a model that is right more often, the higher its `skill`."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(NAMES), size)
    logits = rng.normal(size=(size, len(NAMES))) + skill * np.eye(len(NAMES))[labels]
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)


samples = st.builds(
    _sample,
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(80, 400),
    skill=st.floats(0, 3),
)


@given(samples)
@settings(max_examples=40, deadline=None)
def test_an_interval_holds_its_figure(sample):
    labels, probabilities = sample
    metrics = classification_metrics(labels, probabilities, NAMES)
    found = bootstrap(labels, probabilities, NAMES, resamples=400)
    assert found.macro_f1.low - 0.02 <= metrics.macro_f1 <= found.macro_f1.high + 0.02
    assert found.accuracy.low <= metrics.accuracy <= found.accuracy.high
    assert 0 <= found.ece.low <= found.ece.high <= 1
    for name, span in found.labels.items():
        if span is not None:
            assert span.low <= metrics.labels[name].f1 <= span.high


@given(samples, st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_f1_and_accuracy_do_not_hang_on_the_order_of_the_sentences(sample, random):
    labels, probabilities = sample
    order = list(range(len(labels)))
    random.shuffle(order)
    one = bootstrap(labels, probabilities, NAMES, resamples=100)
    two = bootstrap(labels[order], probabilities[order], NAMES, resamples=100)
    assert (one.macro_f1, one.accuracy, one.labels) == (two.macro_f1, two.accuracy, two.labels)


def test_the_same_seed_gives_the_same_intervals():
    labels, probabilities = _sample(1, 200, 1)
    assert bootstrap(labels, probabilities, NAMES) == bootstrap(labels, probabilities, NAMES)


def test_drawing_cells_is_drawing_sentences():
    """Against the plain way: draw the sentences one by one and measure every time."""
    labels, probabilities = _sample(2, 150, 1.5)
    rng = np.random.default_rng(3)
    plain = {"macro_f1": [], "accuracy": [], "ece": []}
    for _ in range(2000):
        rows = rng.integers(0, len(labels), len(labels))
        drawn = classification_metrics(labels[rows], probabilities[rows], NAMES)
        for name, values in plain.items():
            values.append(getattr(drawn, name))
    found = bootstrap(labels, probabilities, NAMES)
    for name, values in plain.items():
        span = getattr(found, name)
        assert (span.low, span.high) == pytest.approx(
            np.quantile(values, [0.025, 0.975]), abs=0.015
        )


def test_the_interval_of_an_accuracy_is_as_wide_as_the_binomial_says():
    size, share = 400, 0.8
    confusion = np.diag([int(size * share), 0])
    confusion[0, 1] = size - int(size * share)
    span = interval(accuracy(resample_counts(confusion, resamples=4000)))
    spread = 1.96 * np.sqrt(share * (1 - share) / size)
    assert (span.low, span.high) == pytest.approx((share - spread, share + spread), abs=0.01)


def test_a_label_that_no_sentence_has_gets_no_interval_and_counts_as_in_the_figure():
    labels, probabilities = _sample(4, 200, 2)
    kept = labels != 2
    labels, probabilities = labels[kept], probabilities[kept]
    found = bootstrap(labels, probabilities, NAMES)
    assert found.labels["denial"] is None
    point = classification_metrics(labels, probabilities, NAMES).macro_f1
    assert found.macro_f1.low <= point <= found.macro_f1.high
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), len(NAMES))
    assert float(macro_f1(confusion, confusion)) == pytest.approx(point)
    of_the_rest = float(macro_f1(confusion, confusion, present_only=True))
    assert of_the_rest == pytest.approx(point * 5 / 4)


def test_a_resample_that_misses_a_label_leaves_it_out_of_its_mean():
    sentences = np.diag([30, 1])
    without = np.diag([31, 0])
    assert float(macro_f1(without, sentences)) == 1


def test_a_large_file_is_resampled_in_parts():
    labels, probabilities = _sample(5, 30_000, 1)
    span = bootstrap(labels, probabilities, NAMES, resamples=300).ece
    assert 0 <= span.high - span.low < 0.03
