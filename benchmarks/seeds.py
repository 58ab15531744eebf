"""Scores of one recipe over several seeds: each run, mean and standard deviation.

    python benchmarks/seeds.py LABELLED.jsonl runs/seed-1/bundle runs/seed-2/bundle …

`rasd train` fits calibration on the held-out sentences, so on these the calibration error is
slightly optimistic: the last column fits it on four fifths and measures the other fifth, in turn.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from serving.classifier import Classifier, softmax
from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.evaluate.calibration import fit_calibration
from training.evaluate.measure import Answers, answer
from training.evaluate.metrics import (
    classification_metrics,
    coverage_accuracy,
    expected_calibration_error,
    reliability,
)
from training.labelled.reading import read_labelled
from training.labelled.sentence import LabelledSentence

COLUMNS = ("macro-F1", "accuracy", "NLL", "80 % most certain", "ECE", "ECE, other fifths")
SPREAD = "standard deviation"
FOLDS = 5


def main() -> None:
    """Measure every model and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labelled", type=Path)
    parser.add_argument("models", type=Path, nargs="+", metavar="model")
    options = parser.parse_args()

    width = max(map(len, [SPREAD, *map(str, options.models)]))
    print(" " * width, *COLUMNS, sep="  ")
    rows = []
    for folder in options.models:
        classifier = Classifier.load(folder)
        scheme = classifier.bundle.scheme
        answers = answer(classifier, read(options.labelled, classifier, scheme))
        rows.append(figures(answers, scheme))
        show(str(folder).ljust(width), rows[-1])
    if len(rows) > 1:
        show("mean".ljust(width), np.mean(rows, axis=0))
        show(SPREAD.ljust(width), np.std(rows, axis=0, ddof=1))


def read(path: Path, classifier: Classifier, scheme: LabelScheme) -> list[LabelledSentence]:
    """Read a labelled file; of duplicate texts keep the first."""
    normalize = NORMALIZERS[classifier.bundle.manifest.normalizer.name].apply
    return read_labelled([path], scheme, normalize, conflicts="first").sentences


def figures(answers: Answers, scheme: LabelScheme) -> list[float]:
    """Return the table's values for one model's answers."""
    metrics = classification_metrics(answers.labels, answers.probabilities, scheme.names)
    (most_certain,) = coverage_accuracy(answers.labels, answers.probabilities, [0.8])
    assert most_certain.accuracy is not None
    elsewhere = calibrated_elsewhere(answers)
    return [
        metrics.macro_f1,
        metrics.accuracy,
        metrics.nll,
        most_certain.accuracy,
        metrics.ece,
        expected_calibration_error(reliability(answers.labels, elsewhere)),
    ]


def calibrated_elsewhere(answers: Answers) -> NDArray[np.float32]:
    """Return cross-validated probabilities (n, labels): calibrated on the other four fifths.

    They are calibrated for the second time: two temperatures and powers one after the other are
    one temperature and one power.
    """
    logits = np.log(np.maximum(answers.probabilities, np.finfo(np.float32).tiny))
    found = np.empty_like(logits, dtype=np.float32)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for rest, fold in folds.split(logits, answers.labels):
        temperature, power = fit_calibration(logits[rest], answers.labels[rest])
        found[fold] = softmax(logits[fold].astype(np.float32), temperature, power)
    return found


def show(name: str, row: list[float] | NDArray[np.float64]) -> None:
    """Print one line of the table."""
    cells = (f"{value:{len(column)}.4f}" for column, value in zip(COLUMNS, row, strict=True))
    print(name, *cells, sep="  ", flush=True)


if __name__ == "__main__":
    main()
