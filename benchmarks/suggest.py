"""How many labels `rasd suggest` saves: a simulation with labels that are hidden at first.

    python benchmarks/suggest.py --train FILE --dev FILE --out suggest.png

Of 15,000 labelled sentences, 300 are known at the start. In each round a linear model learns what
is known, and 200 more labels are uncovered: those of random sentences, or of those that
`rasd suggest` chooses with that model's probabilities. Macro-F1 is measured on --dev.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from serving.classifier import softmax
from serving.labels import LabelScheme
from serving.records import Record
from serving.text.normalize import NORMALIZERS
from training.arrays import IntArray
from training.labelled.reading import read_labelled
from training.labelled.splits import drop_leaks, leak_key
from training.suggest.choose import DEPTH, choose
from training.suggest.shortlist import shortlist

SCHEME = LabelScheme.read(Path(__file__).parents[1] / "configs" / "labels.yaml")
NAMES = SCHEME.names
NORMALIZE = NORMALIZERS["light"].apply
POOL, START, STEP = 15_000, 300, 200
# Turns distances from the SVM's boundaries into probabilities; their order hardly depends on it.
TEMPERATURE = 0.4

Curve = list[tuple[int, float]]


class Simulation:
    """The sentences, their features and their labels, of which only some are known."""

    def __init__(self, train: Sequence[tuple[str, str]], dev: Sequence[tuple[str, str]]) -> None:
        self.texts = [text for text, _ in train]
        self.labels = np.array([NAMES.index(label) for _, label in train])
        self.dev_labels = np.array([NAMES.index(label) for _, label in dev])
        letters = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 4), min_df=5, sublinear_tf=True, dtype=np.float32
        )
        words = TfidfVectorizer(
            token_pattern=r"\w+", ngram_range=(1, 2), min_df=3, sublinear_tf=True, dtype=np.float32
        )
        plain = [NORMALIZE(text) for text in self.texts]
        other = [NORMALIZE(text) for text, _ in dev]
        self.features = csr_array(
            hstack([words.fit_transform(plain), letters.fit_transform(plain)])
        )
        self.dev_features = csr_array(hstack([words.transform(other), letters.transform(other)]))

    def run(self, by: str, labels: int, goal: float, seed: int) -> Curve:
        """Return (labels, macro-F1) of each round, until `labels` or the F1 `goal` are reached."""
        random = np.random.default_rng(seed)
        known = random.choice(len(self.texts), START, replace=False)
        curve: Curve = []
        while True:
            model = LinearSVC(C=0.5, class_weight="balanced", tol=0.01, random_state=0)
            model.fit(self.features[known], self.labels[known])
            found = model.predict(self.dev_features)
            curve.append((len(known), f1_score(self.dev_labels, found, average="macro")))
            if len(known) >= labels or curve[-1][1] >= goal:
                return curve
            hidden = np.setdiff1d(np.arange(len(self.texts)), known)
            if by == "random":
                new = random.choice(hidden, STEP, replace=False)
            else:
                new = self._suggested(model, hidden, seed)
            known = np.concatenate([known, new])

    def _suggested(self, model: LinearSVC, hidden: IntArray, seed: int) -> IntArray:
        distances = model.decision_function(self.features[hidden]).astype(np.float32)
        records = []
        for row, values in zip(hidden, softmax(distances, TEMPERATURE).tolist(), strict=True):
            text, best = self.texts[row], max(values)
            label, shares = NAMES[values.index(best)], dict(zip(NAMES, values, strict=True))
            records.append(
                Record(str(row), 0, 0, len(text), text, label, best, False, shares, "linear")
            )
        kept = shortlist(records, DEPTH * STEP, key=lambda text: leak_key(text, NORMALIZE))
        return np.array([int(record.doc_id) for record in choose(kept, STEP, seed)])


def needed(curve: Curve, goal: float) -> float:
    """Return after how many labels the curve first reaches `goal`, between rounds on a line."""
    for (before, low), (after, high) in pairwise(curve):
        if high >= goal:
            return before + (after - before) * max(0.0, goal - low) / (high - low)
    return float("nan")


def main() -> None:
    """Simulate, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, metavar="FILE")
    parser.add_argument("--dev", type=Path, required=True, metavar="FILE")
    parser.add_argument("--labels", type=int, default=2300, metavar="N", help="of random")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="PNG")
    options = parser.parse_args()

    dev = read_labelled([options.dev], SCHEME, NORMALIZE, conflicts="first").sentences
    read = read_labelled([options.train], SCHEME, NORMALIZE, conflicts="first").sentences
    train, _ = drop_leaks(read, dev, NORMALIZE)
    if len(train) > POOL:
        rows = np.random.default_rng(0).choice(len(train), POOL, replace=False)
        train = [train[row] for row in rows]
    simulation = Simulation([(s.text, s.label) for s in train], [(s.text, s.label) for s in dev])

    curves: dict[str, list[Curve]] = {"random": [], "suggest": []}
    for seed in range(options.seeds):
        start = time.process_time()
        chance = simulation.run("random", options.labels, float("inf"), seed)
        goal = max(f1 for _, f1 in chance)
        chosen = simulation.run("suggest", options.labels, goal, seed)
        curves["random"].append(chance)
        curves["suggest"].append(chosen)
        by_chance, by_choice = needed(chance, goal), needed(chosen, goal)
        print(
            f"seed {seed}: macro-F1 {goal:.3f} after {by_chance:,.0f} random labels and "
            f"{by_choice:,.0f} suggested ones: {1 - by_choice / by_chance:.0%} fewer "
            f"({time.process_time() - start:.0f} s of CPU)",
            flush=True,
        )
        for name, curve in (("random", chance), ("suggest", chosen)):
            print(f"  {name:8}", *(f"{labels}:{f1:.3f}" for labels, f1 in curve), flush=True)
    plot(curves, options.out)


def plot(curves: dict[str, list[Curve]], out: Path) -> None:
    """Write macro-F1 over labels, one line per run."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (name, runs), colour in zip(curves.items(), ("#777777", "#0072b2"), strict=True):
        for number, curve in enumerate(runs):
            axes.plot(*zip(*curve, strict=True), color=colour, label=name if not number else None)
    axes.set(xlabel="labels", ylabel="macro-F1", title="Labels by rasd suggest and at random")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
