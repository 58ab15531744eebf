"""Metrics of predictions: F1, accuracy, calibration error, coverage."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.arrays import FloatArray, IntArray
from training.evaluate.calibration import fit_threshold

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
BINS = 15  # of a reliability diagram

# The log of a probability that single precision has rounded to 0 would be infinite.
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class LabelMetrics:
    """The metrics of one label; `support` is the number of sentences that truly have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of a set of predictions.

    `macro_f1` is the mean F1 of all labels of the scheme; a label that neither occurs nor is
    predicted counts 0. `ece` is the expected calibration error (see `reliability`). `brier` is the
    squared difference between probabilities and truth, summed over the labels, as a mean over the
    sentences (0 to 2). `nll` is the mean negative log-likelihood in nats. `confusion` has one row
    per true label and one column per predicted label.
    """

    sentences: int
    macro_f1: float
    accuracy: float
    ece: float
    brier: float
    nll: float
    labels: dict[str, LabelMetrics]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The sentences with a top probability in (lower, upper]: its mean and their accuracy."""

    lower: float
    upper: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """The share of sentences at or above `threshold`, and its accuracy (None if it is empty)."""

    coverage: float
    threshold: float
    accuracy: float | None


def classification_metrics(
    labels: IntArray, probabilities: FloatArray, names: Sequence[str]
) -> Metrics:
    """Compare probabilities (n, k) with true label numbers (n,), n > 0; `names` has length k."""
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, len(names))
    by_label = _label_metrics(confusion, names)

    exact = probabilities.astype(np.float64)
    truth = np.eye(len(names))[labels]
    true_probability = np.maximum(exact[np.arange(len(labels)), labels], _SMALLEST)
    return Metrics(
        sentences=len(labels),
        macro_f1=float(np.mean([item.f1 for item in by_label.values()])),
        accuracy=float(np.mean(predicted == labels)),
        ece=expected_calibration_error(reliability(labels, probabilities)),
        brier=float(((exact - truth) ** 2).sum(axis=1).mean()),
        nll=float(-np.log(true_probability).mean()),
        labels=by_label,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def confusion_matrix(labels: IntArray, predicted: IntArray, size: int) -> IntArray:
    """Count the sentences by true and predicted label number, as (size, size)."""
    confusion = np.zeros((size, size), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    return confusion


def reliability(
    labels: IntArray, probabilities: FloatArray, bins: int = BINS
) -> tuple[ReliabilityBin, ...]:
    """Return the points of the reliability diagram: equal-width bins of the top probability.

    Empty bins are left out.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    number = bin_numbers(probabilities, bins)
    return tuple(
        ReliabilityBin(
            lower=int(i) / bins,
            upper=(int(i) + 1) / bins,
            confidence=float(confidence[number == i].mean()),
            accuracy=float(correct[number == i].mean()),
            count=int((number == i).sum()),
        )
        for i in np.unique(number)
    )


def bin_numbers(probabilities: FloatArray, bins: int = BINS) -> IntArray:
    """Return the number, from 0, of the equal-width bin of each top probability."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    number: IntArray = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return number


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean gap between confidence and accuracy, weighted by the sentences per bin.

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    total = sum(item.count for item in bins)
    return sum(item.count / total * abs(item.accuracy - item.confidence) for item in bins)


def coverage_at(labels: IntArray, probabilities: FloatArray, threshold: float) -> CoveragePoint:
    """Return coverage and accuracy of the top probabilities of at least `threshold`."""
    certain = probabilities.max(axis=1).astype(np.float64) >= threshold
    correct = (probabilities.argmax(axis=1) == labels)[certain]
    return CoveragePoint(
        coverage=float(certain.mean()),
        threshold=threshold,
        accuracy=float(correct.mean()) if len(correct) else None,
    )


def coverage_accuracy(
    labels: IntArray, probabilities: FloatArray, coverages: Sequence[float] = COVERAGES
) -> tuple[CoveragePoint, ...]:
    """Return the accuracy of the most confident shares.

    Ties at the threshold are all included, so a point's `coverage` can exceed the requested share.
    """
    return tuple(
        coverage_at(labels, probabilities, fit_threshold(probabilities, coverage))
        for coverage in coverages
    )


def _label_metrics(confusion: IntArray, names: Sequence[str]) -> dict[str, LabelMetrics]:
    hits = confusion.diagonal()
    support = confusion.sum(axis=1)
    predicted = confusion.sum(axis=0)
    precision = _ratio(hits, predicted)
    recall = _ratio(hits, support)
    f1 = _ratio(2 * hits, support + predicted)
    return {
        name: LabelMetrics(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
        for i, name in enumerate(names)
    }


def _ratio(part: IntArray, whole: IntArray) -> FloatArray:
    """Divide, with 0 for 0/0: a label that neither occurs nor is predicted counts 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
