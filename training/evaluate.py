"""What a bundle is worth on labelled files: a table, `metrics.json` and two pictures."""

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from serving.atomic import atomic_file
from serving.bundle import sha256
from serving.classifier import Classifier
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.normalize import NORMALIZERS
from serving.records import Prediction
from training.calibration import FloatArray, IntArray
from training.environment import environment
from training.labelled import LabelledSentence, read_labelled
from training.metrics import (
    CoveragePoint,
    Metrics,
    ReliabilityBin,
    classification_metrics,
    coverage_accuracy,
    coverage_at,
    reliability,
)

_CHUNK = 256  # sentences between two steps of the progress bar


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything measured of one bundle on one set of sentences.

    `refused` sentences count in no other figure. `certain` is what the bundle's own threshold
    does, `coverage` what others would; `slices` has the metrics of every source that the
    sentences name.
    """

    model: str
    refused: int
    truncated: int
    metrics: Metrics
    certain: CoveragePoint
    coverage: tuple[CoveragePoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    slices: dict[str, Metrics]


def evaluate(model: Path | None, labelled: Sequence[Path], out: Path | None = None) -> Metrics:
    """Measure a bundle (default: the model that ships) on labelled files and print a table.

    With `out`, also write `metrics.json`, `confusion_matrix.png` and `reliability.png` there.
    Raises InputError for a bundle or a file that is not one, before anything is written.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file, not a folder", "Name a folder for --out.")
    classifier = Classifier.load(model)
    scheme = classifier.bundle.scheme
    normalize = NORMALIZERS[classifier.bundle.manifest.normalizer.name].apply
    sentences, warnings = _read_every(labelled, scheme, normalize)
    for warning in warnings:
        sys.stderr.write(f"rasd: warning: {warning}\n")
    evaluation = measure(classifier, sentences)
    _print(evaluation)
    if out is not None:
        write_evaluation(evaluation, scheme, labelled, out)
    return evaluation.metrics


def measure(classifier: Classifier, sentences: Sequence[LabelledSentence]) -> Evaluation:
    """Classify sentences and compare the answers with their labels.

    Raises InputError when not one of them can be classified.
    """
    texts = [sentence.text for sentence in sentences]
    starts = range(0, len(texts), _CHUNK)
    console = Console(stderr=True)
    steps = track(
        starts, "Classifying", console=console, transient=True, disable=not console.is_terminal
    )
    answers = [
        answer for start in steps for answer in classifier.classify(texts[start : start + _CHUNK])
    ]
    pairs = [
        (sentence, answer)
        for sentence, answer in zip(sentences, answers, strict=True)
        if isinstance(answer, Prediction)
    ]
    if not pairs:
        raise InputError(
            f"none of the {len(sentences)} sentences can be classified",
            "Name a labelled file whose texts have words.",
        )
    names = classifier.bundle.scheme.names
    labels = np.array([names.index(sentence.label) for sentence, _ in pairs])
    probabilities = np.array([[answer.probabilities[n] for n in names] for _, answer in pairs])
    return Evaluation(
        model=classifier.model,
        refused=len(sentences) - len(pairs),
        truncated=sum(answer.truncated for _, answer in pairs),
        metrics=classification_metrics(labels, probabilities, names),
        certain=coverage_at(labels, probabilities, classifier.bundle.manifest.threshold),
        coverage=coverage_accuracy(labels, probabilities),
        reliability=reliability(labels, probabilities),
        slices=_slices([s for s, _ in pairs], labels, probabilities, names),
    )


def write_evaluation(
    evaluation: Evaluation, scheme: LabelScheme, labelled: Sequence[Path], out: Path
) -> None:
    """Write the pictures, then `metrics.json`, into `out`; other files there are left alone."""
    from training.plots import draw_confusion, draw_reliability

    metrics = evaluation.metrics
    files = labelled[0].name if len(labelled) == 1 else f"{len(labelled)} files"
    title = f"{evaluation.model} on {files}\n{metrics.sentences:,} sentences"
    with atomic_file(out / "confusion_matrix.png") as path:
        figures = f"macro-F1 {metrics.macro_f1:.3f}, accuracy {metrics.accuracy:.1%}"
        draw_confusion(metrics.confusion, scheme, path, title=f"{title}, {figures}")
    with atomic_file(out / "reliability.png") as path:
        draw_reliability(evaluation.reliability, path, title=title)
    record: dict[str, Any] = {
        **asdict(evaluation),
        "files": [{"file": str(path), "sha256": sha256(path)} for path in labelled],
        "environment": environment(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
    }
    with atomic_file(out / "metrics.json") as path:
        path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _read_every(
    paths: Sequence[Path], scheme: LabelScheme, normalize: Callable[[str], str]
) -> tuple[list[LabelledSentence], list[str]]:
    """Read every sentence, and warnings that tell of repeated and contradictory ones.

    Training leaves out a text that it has seen; a file that a model is measured on counts as it
    stands. So every occurrence gets a key of its own.
    """
    occurrence = count()
    data = read_labelled(
        paths, scheme, lambda text: (key := normalize(text)) and f"{key} {next(occurrence)}"
    )
    labels = defaultdict(list)
    for sentence in data.sentences:
        labels[normalize(sentence.text)].append(sentence.label)
    repeats = sum(len(found) - 1 for found in labels.values())
    conflicts = sum(len(set(found)) > 1 for found in labels.values())
    warnings = list(data.warnings)
    if repeats:
        warnings.append(f"sentences that repeat another: {repeats:,}; each counts")
    if conflicts:
        warnings.append(f"texts with two labels: {conflicts:,}; one of them must come out wrong")
    if missing := [name for name, number in data.counts.items() if not number]:
        warnings.append(f"no sentence is {' or '.join(missing)}: macro-F1 counts it as 0")
    return data.sentences, warnings


def _slices(
    sentences: Sequence[LabelledSentence],
    labels: IntArray,
    probabilities: FloatArray,
    names: Sequence[str],
) -> dict[str, Metrics]:
    """Return the metrics of every source, the largest first."""
    rows = defaultdict(list)
    for row, sentence in enumerate(sentences):
        if sentence.source is not None:
            rows[sentence.source].append(row)
    return {
        source: classification_metrics(labels[chosen], probabilities[chosen], names)
        for source, chosen in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))
    }


def _print(evaluation: Evaluation) -> None:
    """Print the figures as tables that fit a terminal of 80 columns."""
    metrics = evaluation.metrics
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(f"{evaluation.model} on {metrics.sentences:,} sentences")

    table = _table("label", "precision", "recall", "F1", "sentences")
    for name, item in metrics.labels.items():
        table.add_row(
            name,
            f"{item.precision:.3f}",
            f"{item.recall:.3f}",
            f"{item.f1:.3f}",
            f"{item.support:,}",
        )
    console.print(table)
    console.print(
        f"macro-F1 {metrics.macro_f1:.3f}   accuracy {metrics.accuracy:.3f}   "
        f"ECE {metrics.ece:.3f}   Brier {metrics.brier:.3f}   NLL {metrics.nll:.3f}"
    )

    table = _table("answered", "threshold", "accuracy")
    for point in evaluation.coverage:
        table.add_row(*_point(point))
    table.add_section()
    table.add_row(*_point(evaluation.certain), "the bundle's threshold")
    console.print(table)

    if evaluation.slices:
        table = _table("source", "sentences", "accuracy")
        for source, part in evaluation.slices.items():
            table.add_row(source, f"{part.sentences:,}", f"{part.accuracy:.3f}")
        console.print(table)
    for number, what in (
        (evaluation.refused, "refused, and in no figure above: without a letter or digit"),
        (evaluation.truncated, "longer than the model reads: judged by their beginning"),
    ):
        if number:
            console.print(f"{number:,} sentences {what}")


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, pad_edge=False)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _point(point: CoveragePoint) -> tuple[str, str, str]:
    accuracy = "–" if point.accuracy is None else f"{point.accuracy:.3f}"
    return f"{point.coverage:.1%}", f"{point.threshold:.3f}", accuracy
