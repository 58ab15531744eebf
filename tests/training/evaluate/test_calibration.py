"""A temperature that makes probabilities honest, a threshold that keeps the share asked for."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.classifier import softmax
from training.evaluate.calibration import (
    TEMPERATURES,
    fit_calibration,
    fit_temperature,
    fit_threshold,
)
from training.evaluate.metrics import classification_metrics

LABELS = "abcde"


def _honest(size, seed):
    """Logits whose softmax is the distribution that their labels were drawn from."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(size, len(LABELS))).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    return logits, (logits + noise).argmax(axis=1)


@given(factor=st.floats(0.2, 8), seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_factor_that_logits_were_multiplied_by_is_found(factor, seed):
    logits, labels = _honest(4_000, seed)
    plain = fit_temperature(logits, labels)
    assert plain == pytest.approx(1, rel=0.1)
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor * plain, rel=1e-4)


@given(seed=st.integers(0, 1000), scale=st.floats(0.3, 5))
@settings(max_examples=25, deadline=None)
def test_no_other_temperature_is_likelier(seed, scale):
    logits, labels = _honest(300, seed)
    logits *= np.float32(scale)
    best = fit_temperature(logits, labels)

    def loss(temperature):
        return classification_metrics(labels, softmax(logits, temperature), LABELS).nll

    for other in (best * 0.8, best * 0.97, best * 1.03, best * 1.25):
        assert loss(best) <= loss(other) + 1e-7


def test_too_sure_a_model_becomes_honest_and_changes_no_label():
    logits, labels = _honest(20_000, seed=3)
    boastful = logits * 4
    before, after = (softmax(boastful, t) for t in (1.0, fit_temperature(boastful, labels)))
    assert classification_metrics(labels, before, LABELS).ece > 0.1
    assert classification_metrics(labels, after, LABELS).ece < 0.02
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))


def test_a_model_that_is_never_wrong_or_always_wrong_stays_within_the_bounds():
    logits = np.eye(5) * 3
    low, high = TEMPERATURES
    assert fit_temperature(logits, np.arange(5)) == pytest.approx(low)
    assert fit_temperature(logits, np.roll(np.arange(5), 1)) == pytest.approx(high)


# A grid of few values makes ties common.
tops = st.lists(st.integers(10, 20).map(lambda n: n / 20), min_size=1, max_size=50)


@given(tops, st.floats(0.01, 1))
@settings(max_examples=200, deadline=None)
def test_the_threshold_leaves_at_least_the_share_and_no_higher_one_does(values, coverage):
    confidence = np.array(values)
    threshold = fit_threshold(np.stack([confidence, 1 - confidence], axis=1), coverage)
    assert (confidence >= threshold).mean() >= coverage
    if coverage < 1:
        assert threshold in confidence
        assert (confidence > threshold).mean() < coverage


def test_full_coverage_never_abstains():
    assert fit_threshold(np.array([[0.9, 0.1], [0.6, 0.4]]), 1.0) == 0


@example(power=2.5, temperature=0.5, seed=1)
@given(power=st.floats(0.7, 2.5), temperature=st.floats(0.5, 4), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_power_that_sharpens_plain_cases_is_found(power, temperature, seed):
    logits, _ = _honest(6_000, seed)
    probabilities = softmax(logits, temperature, power)
    random = np.random.default_rng(seed)
    labels = (random.random((len(logits), 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(0, 4)
    found = softmax(logits, *fit_calibration(logits, labels))
    assert np.abs(found - probabilities).max() < 0.06
    best = np.take_along_axis(found, logits.argmax(axis=1, keepdims=True), axis=1)
    assert (best[:, 0] == found.max(axis=1)).all()  # no label is overtaken


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_power_is_never_less_likely_than_a_temperature_alone(seed):
    logits, labels = _honest(300, seed)
    plain = softmax(logits, fit_temperature(logits, labels))
    both = softmax(logits, *fit_calibration(logits, labels))
    plain_nll, both_nll = (classification_metrics(labels, p, LABELS).nll for p in (plain, both))
    assert both_nll <= plain_nll + 1e-4


@given(power=st.floats(0.7, 2.5), temperature=st.floats(0.5, 4), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_another_model_whose_logits_differ_in_scale_gets_the_same_probabilities(
    power, temperature, seed
):
    logits, _ = _honest(300, seed)
    answers = softmax(logits, temperature, power)
    found = softmax(3 * logits, *fit_calibration(3 * logits, answers))
    assert np.abs(found - answers).max() < 0.01
