"""Bootstrap intervals: how much a metric would vary with other sentences.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile intervals. F1 and
accuracy depend on a sentence only through its cell of the confusion matrix. So drawing sentences
with replacement is drawing cells from a multinomial distribution, which is far faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.arrays import FloatArray, IntArray
from training.evaluate.metrics import BINS, bin_numbers, confusion_matrix

RESAMPLES = 2000
SEED = 1
LEVEL = 0.95

_DRAWS_AT_ONCE = 4_000_000  # limits the memory for resampling sentences


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval, ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Intervals:
    """The intervals of the metrics; None for a label that no sentence has.

    That of `ece` is slightly too high: it sums absolute gaps, which chance widens, and a resample
    has more chance in it than the sentences themselves.
    """

    macro_f1: Interval
    accuracy: Interval
    ece: Interval
    labels: dict[str, Interval | None]


def bootstrap(
    labels: IntArray,
    probabilities: FloatArray,
    names: Sequence[str],
    resamples: int = RESAMPLES,
) -> Intervals:
    """Return the intervals of `classification_metrics` of the same labels (n,) and (n, k)."""
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), len(names))
    drawn = resample_counts(confusion, resamples)
    f1 = f1_scores(drawn)
    return Intervals(
        macro_f1=interval(macro_f1(drawn, confusion)),
        accuracy=interval(accuracy(drawn)),
        ece=interval(_resampled_ece(labels, probabilities, resamples)),
        labels={
            name: interval(f1[:, number]) if confusion[number].any() else None
            for number, name in enumerate(names)
        },
    )


def interval(values: FloatArray) -> Interval:
    """Return the interval of the middle 95 % of resampled values, without NaN."""
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def resample_counts(counts: IntArray, resamples: int = RESAMPLES) -> IntArray:
    """Draw as many sentences as `counts` (of any shape) holds, with replacement.

    Returns (resamples, *shape): how often each cell was drawn.
    """
    total = int(counts.sum())
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(total, counts.ravel() / total, size=resamples)
    return drawn.reshape(resamples, *counts.shape)


def f1_scores(confusions: IntArray) -> FloatArray:
    """Return the F1 of every label of confusion matrices (…, k, k) as (…, k).

    It is NaN for a label that a matrix neither has nor predicts.
    """
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    total = confusions.sum(axis=-1) + confusions.sum(axis=-2)
    f1: FloatArray = np.divide(2 * hits, total, out=np.full(hits.shape, np.nan), where=total > 0)
    return f1


def macro_f1(
    confusions: IntArray, sentences: IntArray, *, present_only: bool = False
) -> FloatArray:
    """Return the macro-F1 of resamples (…, k, k) of the confusion matrix `sentences` (k, k).

    A label that the sentences lack counts 0, as in `Metrics`, or is left out with `present_only`;
    a label that only a resample lacks is left out of that resample's mean.
    """
    present = sentences.any(axis=-1)
    f1 = f1_scores(confusions)
    f1[..., ~present] = np.nan if present_only else 0
    known = ~np.isnan(f1)
    mean: FloatArray = np.nansum(f1, axis=-1) / np.maximum(known.sum(axis=-1), 1)
    return mean


def accuracy(confusions: IntArray) -> FloatArray:
    """Return the accuracy of confusion matrices (…, k, k)."""
    hits = np.trace(confusions, axis1=-2, axis2=-1)
    share: FloatArray = hits / confusions.sum(axis=(-2, -1))
    return share


def _resampled_ece(labels: IntArray, probabilities: FloatArray, resamples: int) -> FloatArray:
    """Return the expected calibration error of every resample, drawn sentence by sentence."""
    size = len(labels)
    confidence = probabilities.max(axis=1).astype(np.float64)
    gaps = np.zeros((size, BINS))
    gaps[np.arange(size), bin_numbers(probabilities)] = (
        probabilities.argmax(axis=1) == labels
    ) - confidence
    rng = np.random.default_rng(SEED)
    step = max(1, _DRAWS_AT_ONCE // size)
    found = []
    for start in range(0, resamples, step):
        many = min(step, resamples - start)
        drawn = rng.integers(0, size, (many, size)) + np.arange(many)[:, None] * size
        times = np.bincount(drawn.ravel(), minlength=many * size).reshape(many, size)
        found.append(np.abs(times @ gaps).sum(axis=1) / size)
    errors: NDArray[np.float64] = np.concatenate(found)
    return errors
