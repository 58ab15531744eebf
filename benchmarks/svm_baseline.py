"""The baseline: a linear model of the same sentences.

    python benchmarks/svm_baseline.py --train data/authored.jsonl --dev FILE

TF-IDF of characters (2 to 5, within words) and words (1 to 2), one linear support vector machine
per label. Its only setting, C, is chosen by cross-validation on the training sentences.
"""

import argparse
import time
from pathlib import Path

from sklearn.metrics import accuracy_score, classification_report, f1_score

from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.labelled.reading import read_labelled
from training.labelled.sentence import LabelledSentence
from training.labelled.splits import drop_leaks
from training.train.linear import fit_linear

SCHEME = LabelScheme.read(Path(__file__).parents[1] / "configs" / "labels.yaml")
NORMALIZE = NORMALIZERS["light"].apply


def read(paths: list[Path]) -> list[LabelledSentence]:
    """Read labelled files; of duplicate texts keep the first."""
    return read_labelled(paths, SCHEME, NORMALIZE, conflicts="first").sentences


def main() -> None:
    """Train, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--dev", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()

    dev = read([options.dev])
    train, leaks = drop_leaks(read(options.train), dev, NORMALIZE)
    print(f"{len(train):,} training sentences ({leaks} near the {len(dev):,} of dev left out)")

    start = time.perf_counter()
    model = fit_linear(train, SCHEME.names, NORMALIZE)
    print(f"{model.svm.n_features_in_:,} features, {time.perf_counter() - start:.0f} s of training")
    for c, score in model.macro_f1.items():
        print(f"C {c}: macro-F1 {score:.3f} in cross-validation")

    truth = [sentence.label for sentence in dev]
    best = model.probabilities([sentence.text for sentence in dev]).argmax(axis=1)
    found = [SCHEME.names[number] for number in best]
    print(classification_report(truth, found, labels=SCHEME.names, digits=3, zero_division=0))
    macro = f1_score(truth, found, labels=SCHEME.names, average="macro", zero_division=0)
    print(f"macro-F1 {macro:.3f}, accuracy {accuracy_score(truth, found):.3f}")


if __name__ == "__main__":
    main()
