"""The figures of an evaluation mean what their names say."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
)

from training.evaluate.metrics import (
    classification_metrics,
    coverage_accuracy,
    expected_calibration_error,
    reliability,
)

NAMES = ("attack_report", "claim", "denial", "official_response", "other")


def _sample(seed, size, used, power):
    rng = np.random.default_rng(seed)
    weights = rng.random((size, len(NAMES))) ** power + 1e-6
    probabilities = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return rng.integers(0, used, size), probabilities


# Uniform draws, sharpened or not, over a few or all of the labels: missing labels are common.
samples = st.builds(
    _sample,
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 60),
    used=st.integers(1, len(NAMES)),
    power=st.sampled_from([0.2, 1.0, 8.0]),
)


def _calibrated(size, seed=1):
    """Labels drawn from the very probabilities that are reported."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.4] * len(NAMES), size)
    draws = rng.random((size, 1))
    labels = (probabilities.cumsum(axis=1) < draws).sum(axis=1).clip(max=len(NAMES) - 1)
    return labels, probabilities


@given(samples)
@settings(max_examples=150, deadline=None)
def test_figures_are_those_of_scikit_learn(sample):
    labels, probabilities = sample
    found = classification_metrics(labels, probabilities, NAMES)

    predicted = probabilities.argmax(axis=1)
    every = range(len(NAMES))
    expected = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    ours = [(m.precision, m.recall, m.f1, m.support) for m in found.labels.values()]
    assert list(found.labels) == list(NAMES)
    assert ours == pytest.approx(np.array(expected).T)
    assert found.macro_f1 == pytest.approx(expected[2].mean())
    assert found.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert np.array_equal(found.confusion, confusion_matrix(labels, predicted, labels=every))
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert found.nll == pytest.approx(log_loss(labels, exact, labels=every), rel=1e-4)
    assert found.sentences == len(labels)


@given(samples, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_sentences_does_not_matter(sample, random):
    labels, probabilities = sample
    order = list(range(len(labels)))
    random.shuffle(order)
    for figure in (
        lambda y, p: asdict(classification_metrics(y, p, NAMES)),
        lambda y, p: [point.accuracy for point in reliability(y, p)],
        lambda y, p: [point.accuracy for point in coverage_accuracy(y, p)],
    ):
        before, after = figure(labels, probabilities), figure(labels[order], probabilities[order])
        assert _flat(after) == pytest.approx(_flat(before), abs=1e-9)


def _flat(value):
    """The numbers of a nested value, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for item in value for number in _flat(item)]
    return [value]


def test_brier_of_one_sentence_is_worked_out_by_hand():
    metrics = classification_metrics(np.array([0]), np.array([[0.7, 0.2, 0.1]]), "abc")
    assert metrics.brier == pytest.approx(0.3**2 + 0.2**2 + 0.1**2)


def test_calibration_error_of_two_bins_is_worked_out_by_hand():
    # Three sentences at 0.9, of which two are right; one at 0.6, which is right.
    probabilities = np.array([[0.9, 0.1]] * 3 + [[0.6, 0.4]])
    labels = np.array([0, 0, 1, 0])
    expected = 3 / 4 * abs(0.9 - 2 / 3) + 1 / 4 * abs(0.6 - 1)
    assert classification_metrics(labels, probabilities, "ab").ece == pytest.approx(expected)


def test_perfect_and_hopeless_predictions_reach_the_ends_of_the_scales():
    truth = np.arange(len(NAMES))
    perfect = classification_metrics(truth, np.eye(len(NAMES)), NAMES)
    assert (perfect.macro_f1, perfect.accuracy) == (1, 1)
    assert (perfect.ece, perfect.brier, perfect.nll) == pytest.approx((0, 0, 0))

    hopeless = classification_metrics(truth, np.roll(np.eye(len(NAMES)), 1, axis=1), NAMES)
    assert (hopeless.macro_f1, hopeless.accuracy) == (0, 0)
    assert (hopeless.ece, hopeless.brier) == pytest.approx((1, 2))
    assert np.isfinite(hopeless.nll)


def test_true_probabilities_are_calibrated_and_sharpened_ones_are_not():
    labels, honest = _calibrated(40_000)
    boastful = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    assert classification_metrics(labels, honest, NAMES).ece < 0.01
    assert classification_metrics(labels, boastful, NAMES).ece > 0.1


@given(samples, st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_every_sentence_lies_in_the_one_bin_that_its_probability_names(sample, bins):
    labels, probabilities = sample
    points = reliability(labels, probabilities, bins)
    assert sum(point.count for point in points) == len(labels)
    for point in points:
        assert point.lower - 1e-9 <= point.confidence <= point.upper + 1e-9
    right = sum(point.accuracy * point.count for point in points)
    assert right == pytest.approx((probabilities.argmax(axis=1) == labels).sum())
    assert 0 <= expected_calibration_error(points) <= 1


@given(samples)
@settings(max_examples=100, deadline=None)
def test_coverage_falls_as_the_threshold_rises(sample):
    labels, probabilities = sample
    asked = (1.0, 0.9, 0.8, 0.7, 0.5)
    points = coverage_accuracy(labels, probabilities, asked)
    assert points[0].coverage == 1
    assert points[0].accuracy == classification_metrics(labels, probabilities, NAMES).accuracy
    for point, share in zip(points, asked, strict=True):
        assert point.coverage >= share
    thresholds = [point.threshold for point in points]
    coverages = [point.coverage for point in points]
    assert thresholds == sorted(thresholds)
    assert coverages == sorted(coverages, reverse=True)


def test_abstaining_helps_where_the_probabilities_are_honest():
    accuracies = [point.accuracy for point in coverage_accuracy(*_calibrated(20_000))]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > accuracies[0] + 0.1


def test_metrics_survive_json():
    metrics = classification_metrics(*_calibrated(50), NAMES)
    assert json.loads(json.dumps(asdict(metrics)))["labels"]["denial"]["support"] >= 0
    assert json.loads(json.dumps(asdict(metrics)))["macro_f1"] == metrics.macro_f1
