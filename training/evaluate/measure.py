"""Everything that is measured of one bundle on one set of labelled sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.progress import track

from serving.classifier import Classifier
from serving.errors import InputError
from serving.records import Prediction
from training.evaluate.bootstrap import (
    RESAMPLES,
    SEED,
    Interval,
    Intervals,
    accuracy,
    bootstrap,
    interval,
    macro_f1,
    resample_counts,
)
from training.arrays import FloatArray, IntArray
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
from training.labelled.reading import LabelledSentence

_CHUNK = 256  # sentences between two steps of the progress bar
_MISTAKES = 30
_CURVE = tuple(share / 100 for share in range(100, 1, -2))


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model makes of sentences: of those in `rows`, the others being refused.

    `labels` (n,) are the true label numbers, `probabilities` is (n, k).
    """

    rows: IntArray
    labels: IntArray
    probabilities: FloatArray
    truncated: int


@dataclass(frozen=True, slots=True)
class SliceMetrics:
    """How the model does on one slice; `macro_f1` is over the labels that occur in it.

    `excess` is how many more mistakes it holds than the model's overall accuracy would give.
    `weak` marks a slice whose accuracy is lower than the overall one by more than chance: its
    interval ends below. `small` marks one whose figures are mostly chance.
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
    """A sentence that got a label other than its own, and where it stands."""

    text: str
    label: str
    predicted: str
    probability: float
    sure: bool
    source: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Uncalibrated:
    """What the same model's probabilities would be worth before calibration."""

    ece: float
    brier: float
    nll: float
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything measured of one bundle on one set of sentences.

    `refused` sentences count in no other figure. `certain` is what the bundle's own threshold
    does, `coverage` and, point by point, `curve` what others would. `mistakes` are the most
    confident ones.
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
    def weakest(self) -> list[SliceMetrics]:
        """The slices that are not small and under the overall accuracy, lowest first."""
        found = (part for part in self.slices if not part.small and part.excess > 0)
        return sorted(found, key=lambda part: part.accuracy)


def measure(classifier: Classifier, sentences: Sequence[LabelledSentence]) -> Evaluation:
    """Classify sentences and compare the answers with their labels.

    Raises InputError when not one of them can be classified.
    """
    return assess(classifier, sentences, answer(classifier, sentences))


def answer(classifier: Classifier, sentences: Sequence[LabelledSentence]) -> Answers:
    """Classify sentences; raise InputError when not one of them can be classified."""
    texts = [sentence.text for sentence in sentences]
    console = Console(stderr=True)
    steps = track(
        range(0, len(texts), _CHUNK),
        f"Classifying with {classifier.model}",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    found = [a for start in steps for a in classifier.classify(texts[start : start + _CHUNK])]
    kept = [(row, a) for row, a in enumerate(found) if isinstance(a, Prediction)]
    if not kept:
        raise InputError(
            f"none of the {len(sentences)} sentences can be classified",
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
    """Return the figures of the answers that `classifier` gave to `sentences`."""
    names = classifier.bundle.scheme.names
    manifest = classifier.bundle.manifest
    labels, probabilities = answers.labels, answers.probabilities
    metrics = classification_metrics(labels, probabilities, names)
    raw = _uncalibrated(probabilities, manifest.temperature, manifest.power)
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


def _uncalibrated(probabilities: FloatArray, temperature: float, power: float) -> FloatArray:
    """Return the softmax of the logits that `softmax` made probabilities (n, labels) of."""
    exact = np.maximum(probabilities.astype(np.float64), np.finfo(np.float64).tiny)
    surprise = np.log(exact.max(axis=1, keepdims=True) / exact)
    weights = np.exp(-temperature * surprise ** (1 / power))
    raw: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return raw


def compare_answers(
    classifier: Classifier, answers: Answers, other: Classifier, other_answers: Answers
) -> Comparison:
    """Compare two models of the same labels on the sentences that both answer.

    Raises InputError when there is no such sentence.
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
        drawn = resample_counts(confusion, resamples=RESAMPLES, seed=SEED)
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
