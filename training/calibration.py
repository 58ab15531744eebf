"""Two numbers that make a model's probabilities usable: a temperature and a threshold."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

TEMPERATURES = (0.05, 20.0)
"""The range in which a temperature is looked for; a model outside it is broken."""


def fit_temperature(logits: FloatArray, labels: IntArray) -> float:
    """Return the temperature that gives labels (n,) the greatest likelihood under logits (n, k).

    Guo et al. 2017: one number divides every logit, so no label changes. The negative
    log-likelihood is convex in 1/T: its slope there has one change of sign, which bisection over
    log T finds. The result lies within TEMPERATURES.
    """
    exact = logits.astype(np.float64)
    true_logits = exact[np.arange(len(labels)), labels]
    low, high = (math.log(bound) for bound in TEMPERATURES)
    for _ in range(50):
        middle = (low + high) / 2
        scaled = exact / math.exp(middle)
        weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        expected = (weights * exact).sum(axis=1) / weights.sum(axis=1)
        # The slope in 1/T is the mean of `expected - true_logits`: positive when too sure.
        if (expected - true_logits).mean() > 0:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def fit_threshold(probabilities: FloatArray, coverage: float) -> float:
    """Return the threshold that leaves the share `coverage` (0 to 1] of (n, k) certain.

    A sentence is certain when its top probability is at least the threshold; ties at the
    threshold are all certain, so that the share is never less than asked. Full coverage means
    that nothing is ever uncertain, also among sentences yet to come: 0.
    """
    if coverage >= 1:
        return 0.0
    confidence = np.sort(probabilities.max(axis=1))[::-1]
    return float(confidence[math.ceil(coverage * len(confidence)) - 1])
