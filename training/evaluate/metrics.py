"""How good and how honest predictions are: F1, accuracy, calibration error, coverage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.arrays import FloatArray, IntArray
from training.evaluate.calibration import fit_threshold

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)
BINS = 15  # of a reliability diagram

# The log of a probability that single precision has rounded to 0 would be infinite.
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class LabelMetrics:
    """One label's figures; `support` counts the sentences that truly have it."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a set of predictions is worth.

    `macro_f1` is the plain mean of the F1 of every label of the scheme, 0 for a label that is
    neither there nor predicted. `ece` is the expected calibration error (see `reliability`).
    `brier` is the mean over sentences of the squared differences, summed over the labels, between
    the probabilities and the truth (0 to 2). `nll` is the mean negative log-likelihood in nats.
    `confusion` has a row a true label and a column a predicted one.
    """

    sentences: int
    macro_f1: float
    accuracy: float
    ece: float
    brier: float
    nll: float
    labels: dict[str, LabelMetrics]
    confusion: tuple[tuple[int, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `metrics.json` and a bundle's manifest hold."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The sentences whose top probability lies in (lower, upper]: its mean and their accuracy."""

    lower: float
    upper: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """What is left when all under `threshold` abstain: the share answered and its accuracy.

    `accuracy` is None when nothing is answered.
    """

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

    Bins that hold no sentence are left out.
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
    """Return the number, from 0, of the equal-width bin that each top probability lies in."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    number: IntArray = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return number


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean gap between confidence and accuracy, each bin weighted by its sentences.

    Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
    """
    total = sum(item.count for item in bins)
    return sum(item.count / total * abs(item.accuracy - item.confidence) for item in bins)


def coverage_at(labels: IntArray, probabilities: FloatArray, threshold: float) -> CoveragePoint:
    """Return what is answered when only top probabilities of at least `threshold` are."""
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
    """Return the accuracy of the most certain shares.

    A point's `coverage` is the share that was really answered: sentences that tie at the
    threshold are answered together, so it can exceed the share asked for.
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
    """Divide, with 0 for 0/0: a label that nobody wrote or predicted earns nothing."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
