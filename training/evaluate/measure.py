"""The measurement of one bundle on one set of labelled sentences."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serving.classifier import Classifier
from serving.errors import InputError
from serving.progress import SentenceProgress
from serving.records import Prediction, Refusal
from serving.terminal import counted
from training.arrays import FloatArray, IntArray
from training.evaluate.bootstrap import (
    Interval,
    Intervals,
    accuracy,
    bootstrap,
    interval,
    macro_f1,
    resample_counts,
)
from training.evaluate.calibration import uncalibrated
from training.evaluate.comparison import Comparison, compare
from training.evaluate.metrics import (
    CoveragePoint,
    Metrics,
    ReliabilityBin,
    classification_metrics,
    confusion_matrix,
    coverage_accuracy,
    coverage_at,
    reliability,
)
from training.evaluate.slices import SMALL, slices
from training.labelled.sentence import LabelledSentence

_CHUNK = 256  # sentences per step of the progress bar
_MISTAKES = 30
_CURVE = tuple(share / 100 for share in range(100, 1, -2))


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's answers to the sentences in `rows`; the others were rejected.

    `labels` (n,) are the true label numbers, `probabilities` is (n, k).
    """

    rows: IntArray
    labels: IntArray
    probabilities: FloatArray
    truncated: int


@dataclass(frozen=True, slots=True)
class SliceMetrics:
    """The metrics of one subgroup; `macro_f1` is over the labels that occur in it.

    `excess` is the number of mistakes above what the overall accuracy predicts. `weak`: accuracy
    significantly below the overall one (the interval ends below it). `small`: too few sentences
    for reliable metrics.
    """

    dimension: str
    value: str
    sentences: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    excess: float
    small: bool
    weak: bool


@dataclass(frozen=True, slots=True)
class Mistake:
    """A sentence with a wrong prediction, and its file and line."""

    text: str
    label: str
    predicted: str
    probability: float
    sure: bool
    source: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Uncalibrated:
    """The same model before calibration."""

    ece: float
    brier: float
    nll: float
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All measurements of one bundle on one set of sentences.

    `refused` sentences have no letter or digit and are in no other metric. `certain` is the point
    of the bundle's own threshold; `coverage` and the finer `curve` are those of others. `mistakes`
    are the most confident ones.
    """

    model: str
    temperature: float
    power: float
    refused: int
    truncated: int
    metrics: Metrics
    intervals: Intervals
    certain: CoveragePoint
    coverage: tuple[CoveragePoint, ...]
    curve: tuple[CoveragePoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    uncalibrated: Uncalibrated
    slices: tuple[SliceMetrics, ...]
    mistakes: tuple[Mistake, ...]

    @property
    def calibrated(self) -> bool:
        """Whether the bundle has a calibration of its own; in a cascade its models have theirs."""
        return (self.temperature, self.power) != (1, 1)

    @property
    def weakest(self) -> list[SliceMetrics]:
        """The subgroups below the overall accuracy, without small ones, lowest first."""
        found = (part for part in self.slices if not part.small and part.excess > 0)
        return sorted(found, key=lambda part: part.accuracy)


def measure(classifier: Classifier, sentences: Sequence[LabelledSentence]) -> Evaluation:
    """Classify sentences and compare the predictions with their labels.

    Raises InputError if none of them can be classified.
    """
    return assess(classifier, sentences, answer(classifier, sentences))


def answer(classifier: Classifier, sentences: Sequence[LabelledSentence]) -> Answers:
    """Classify sentences; raise InputError if none of them can be classified."""
    texts = [sentence.text for sentence in sentences]
    found: list[Prediction | Refusal] = []
    with SentenceProgress(len(texts), visible=sys.stderr.isatty()) as progress:
        for start in range(0, len(texts), _CHUNK):
            found += classifier.classify(texts[start : start + _CHUNK])
            progress.update(len(found) - start, len(found))
    kept = [(row, a) for row, a in enumerate(found) if isinstance(a, Prediction)]
    if not kept:
        raise InputError(
            f"of {counted(len(sentences), 'sentence')}, none can be classified",
            "Name a labelled file whose texts have words.",
        )
    names = classifier.bundle.scheme.names
    return Answers(
        rows=np.array([row for row, _ in kept]),
        labels=np.array([names.index(sentences[row].label) for row, _ in kept]),
        probabilities=np.array([[a.probabilities[name] for name in names] for _, a in kept]),
        truncated=sum(a.truncated for _, a in kept),
    )


def assess(
    classifier: Classifier, sentences: Sequence[LabelledSentence], answers: Answers
) -> Evaluation:
    """Return the metrics of the answers of `classifier` to `sentences`."""
    names = classifier.bundle.scheme.names
    manifest = classifier.bundle.manifest
    labels, probabilities = answers.labels, answers.probabilities
    metrics = classification_metrics(labels, probabilities, names)
    raw = uncalibrated(probabilities, manifest.temperature, manifest.power)
    before = classification_metrics(labels, raw, names)
    answered = [sentences[row] for row in answers.rows]
    return Evaluation(
        model=classifier.model,
        temperature=manifest.temperature,
        power=manifest.power,
        refused=len(sentences) - len(answered),
        truncated=answers.truncated,
        metrics=metrics,
        intervals=bootstrap(labels, probabilities, names),
        certain=coverage_at(labels, probabilities, manifest.threshold),
        coverage=coverage_accuracy(labels, probabilities),
        curve=coverage_accuracy(labels, probabilities, _CURVE),
        reliability=reliability(labels, probabilities),
        uncalibrated=Uncalibrated(before.ece, before.brier, before.nll, reliability(labels, raw)),
        slices=_slices(answered, labels, probabilities.argmax(axis=1), metrics),
        mistakes=_mistakes(answered, labels, probabilities, names),
    )


def compare_answers(
    classifier: Classifier, answers: Answers, other: Classifier, other_answers: Answers
) -> Comparison:
    """Compare two models with the same labels on the sentences that both answered.

    Raises InputError if there is none.
    """
    names, theirs = classifier.bundle.scheme.names, other.bundle.scheme.names
    _, ours, also = np.intersect1d(answers.rows, other_answers.rows, return_indices=True)
    if not len(ours):
        raise InputError(
            f"no sentence is answered by both {classifier.model} and {other.model}",
            "Name a labelled file whose texts have words.",
        )
    number = np.array([names.index(name) for name in theirs])
    return compare(
        answers.labels[ours],
        answers.probabilities[ours].argmax(axis=1),
        number[other_answers.probabilities[also].argmax(axis=1)],
        names,
        name=other.model,
    )


def _slices(
    sentences: Sequence[LabelledSentence], labels: IntArray, predicted: IntArray, overall: Metrics
) -> tuple[SliceMetrics, ...]:
    found = []
    for part in slices(sentences):
        confusion = confusion_matrix(
            labels[part.rows], predicted[part.rows], len(overall.confusion)
        )
        drawn = resample_counts(confusion)
        share, size = float(accuracy(confusion)), len(part.rows)
        reach = interval(accuracy(drawn))
        found.append(
            SliceMetrics(
                dimension=part.dimension,
                value=part.value,
                sentences=size,
                accuracy=share,
                accuracy_interval=reach,
                macro_f1=float(macro_f1(confusion, confusion, present_only=True)),
                macro_f1_interval=interval(macro_f1(drawn, confusion, present_only=True)),
                excess=(overall.accuracy - share) * size,
                small=size < SMALL,
                weak=size >= SMALL and reach.high < overall.accuracy,
            )
        )
    return tuple(found)


def _mistakes(
    sentences: Sequence[LabelledSentence],
    labels: IntArray,
    probabilities: FloatArray,
    names: Sequence[str],
) -> tuple[Mistake, ...]:
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]
    return tuple(
        Mistake(
            text=sentences[row].text,
            label=sentences[row].label,
            predicted=names[predicted[row]],
            probability=float(confidence[row]),
            sure=sentences[row].sure,
            source=sentences[row].source,
            place=f"{sentences[row].file.name}:{sentences[row].line}",
        )
        for row in worst
    )
