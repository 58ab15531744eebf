"""Calibration: temperature and power, their inverse, and the threshold for certain labels.

A label's gap is the distance of its logit from the highest one. Calibrated probabilities are

    p = exp(-(gap / temperature) ** power) / sum over the labels       (serving.classifier.softmax)
    gap = temperature * log(max p / p) ** (1 / power)                  (uncalibrated, below)

The power is our own addition to temperature scaling, for models that are overconfident on close
calls and underconfident on clear ones. In the trial that introduced it, ECE fell from 0.064 with a
temperature alone to 0.020.
"""

import math

import numpy as np
from scipy.optimize import minimize_scalar

from training.arrays import FloatArray, IntArray

TEMPERATURES = (0.05, 20.0)
"""The search range of the temperature; a model outside it is broken."""

POWERS = (0.5, 4.0)
"""The search range of the power."""


def fit_temperature(
    logits: FloatArray,
    labels: IntArray | FloatArray,
    bounds: tuple[float, float] = TEMPERATURES,
) -> float:
    """Return the temperature with the maximum likelihood of `labels` for logits (n, k).

    `labels` are numbers (n,) or probabilities (n, k). Guo et al. 2017: one number divides all
    logits, so no label changes. The negative log-likelihood is convex in 1/T, so bisection over
    log T finds where its slope is zero. The result is within `bounds`.
    """
    exact = logits.astype(np.float64)
    true_logits = (exact * _probabilities(labels, exact.shape[1])).sum(axis=1)
    low, high = (math.log(bound) for bound in bounds)
    for _ in range(50):
        middle = (low + high) / 2
        scaled = exact / math.exp(middle)
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        expected = (weights * exact).sum(axis=1) / weights.sum(axis=1)
        # The slope in 1/T is the mean of `expected - true_logits`: positive if overconfident.
        if (expected - true_logits).mean() > 0:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def fit_calibration(logits: FloatArray, labels: IntArray | FloatArray) -> tuple[float, float]:
    """Return the temperature and power with the maximum likelihood of `labels`.

    `labels` are numbers (n,), or probabilities (n, k) that the calibrated ones then come near to.
    For a given power the best temperature is that of the logits -gap ** power; the power is
    searched within POWERS.
    """
    labels = _probabilities(labels, logits.shape[1])
    gaps = logits.max(axis=1, keepdims=True).astype(np.float64) - logits
    # Gaps in units of their mean, so that TEMPERATURES suits every scale of logits.
    unit = float(gaps.mean()) or 1.0

    def temperature(power: float) -> float:
        low, high = (bound**power for bound in TEMPERATURES)
        found = fit_temperature(-((gaps / unit) ** power), labels, (low, high))
        return unit * float(found ** (1 / power))

    def loss(log_power: float) -> float:
        power = math.exp(log_power)
        scaled = -((gaps / temperature(power)) ** power)
        true = (scaled * labels).sum(axis=1)
        return float((np.log(np.exp(scaled).sum(axis=1)) - true).mean())

    bounds = tuple(math.log(bound) for bound in POWERS)
    power = math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))
    return temperature(power), power


def uncalibrated(probabilities: FloatArray, temperature: float, power: float) -> FloatArray:
    """Undo calibration: recover the gaps from probabilities (n, k) and apply a plain softmax."""
    exact = np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny)
    surprise = np.log(exact.max(axis=1, keepdims=True) / exact)
    weights = np.exp(-temperature * surprise ** (1 / power))
    raw: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return raw


def fit_threshold(probabilities: FloatArray, coverage: float) -> float:
    """Return the threshold at which the share `coverage` (0 to 1] of (n, k) is certain.

    A sentence is certain if its highest probability is at least the threshold. All ties at the
    threshold are certain, so the share is never lower than `coverage`. Full coverage gives 0: no
    sentence is ever uncertain, in new text either.
    """
    if coverage >= 1:
        return 0.0
    confidence = np.sort(probabilities.max(axis=1))[::-1]
    return float(confidence[math.ceil(coverage * len(confidence)) - 1])


def _probabilities(labels: IntArray | FloatArray, size: int) -> FloatArray:
    """Return numbers of labels (n,) as probabilities (n, size), and probabilities as they are."""
    return np.eye(size)[labels] if labels.ndim == 1 else labels.astype(np.float64)
