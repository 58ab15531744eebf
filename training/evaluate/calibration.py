"""The numbers that make a model's probabilities usable: temperature, power and threshold."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating[Any]]

TEMPERATURES = (0.05, 20.0)
"""The range in which a temperature is looked for; a model outside it is broken."""

POWERS = (0.5, 4.0)
"""The range in which a power is looked for."""


def fit_temperature(
    logits: FloatArray, labels: IntArray, bounds: tuple[float, float] = TEMPERATURES
) -> float:
    """Return the temperature that gives labels (n,) the greatest likelihood under logits (n, k).

    Guo et al. 2017: one number divides every logit, so no label changes. The negative
    log-likelihood is convex in 1/T: its slope there has one change of sign, which bisection over
    log T finds. The result lies within `bounds`.
    """
    exact = logits.astype(np.float64)
    true_logits = exact[np.arange(len(labels)), labels]
    low, high = (math.log(bound) for bound in bounds)
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


def fit_calibration(logits: FloatArray, labels: IntArray) -> tuple[float, float]:
    """Return the temperature and the power (see `softmax`) that are likeliest for labels (n,).

    A temperature alone makes a model that is too sure of close calls and not sure enough of plain
    ones wrong at both ends. For a given power the likeliest temperature is that of the logits
    -gap ** power; the power is looked for within POWERS.
    """
    gaps = logits.max(axis=1, keepdims=True).astype(np.float64) - logits
    # In units of the mean gap, in which the temperature is looked for within TEMPERATURES.
    unit = float(gaps.mean()) or 1.0

    def temperature(power: float) -> float:
        low, high = (bound**power for bound in TEMPERATURES)
        found = fit_temperature(-((gaps / unit) ** power), labels, (low, high))
        return unit * float(found ** (1 / power))

    def loss(log_power: float) -> float:
        power = math.exp(log_power)
        scaled = -((gaps / temperature(power)) ** power)
        true = scaled[np.arange(len(labels)), labels]
        return float((np.log(np.exp(scaled).sum(axis=1)) - true).mean())

    bounds = tuple(math.log(bound) for bound in POWERS)
    power = math.exp(float(minimize_scalar(loss, bounds=bounds, method="bounded").x))
    return temperature(power), power


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
