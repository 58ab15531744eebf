"""Quality of `rasd validate --deep`: how many randomly flipped labels it finds.

    python benchmarks/deep_validate.py [--data data/authored.jsonl] [--share 0.05] [--draws 5]

The precision among the first findings is a lower bound: labels that were already wrong count as
false findings.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.labelled.reading import read_labelled
from training.labelled.splits import leak_key
from training.model.embed import embed
from training.validate.confident_learning import suspects
from training.validate.near_duplicates import groups, near_identical
from training.validate.suspects import label_probabilities

ROOT = Path(__file__).parents[1]
NORMALIZE = NORMALIZERS["light"].apply


def main() -> None:
    """Flip labels, run the search, count the hits and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "authored.jsonl")
    parser.add_argument("--share", type=float, default=0.05, help="of the labels to flip")
    parser.add_argument("--draws", type=int, default=5)
    options = parser.parse_args()

    scheme = LabelScheme.read(ROOT / "configs" / "labels.yaml")
    data = read_labelled([options.data], scheme, NORMALIZE, conflicts="first").sentences
    texts = [NORMALIZE(sentence.text) for sentence in data]
    truth = np.array([scheme.names.index(sentence.label) for sentence in data])
    start = time.perf_counter()
    vectors = embed(texts)
    group = groups(near_identical([leak_key(t, NORMALIZE) for t in texts]), len(texts))
    print(f"{len(texts):,} sentences read in {time.perf_counter() - start:.0f} s")

    rows = []
    for draw in range(options.draws):
        random = np.random.default_rng(draw)
        flipped = random.choice(len(truth), round(options.share * len(truth)), replace=False)
        labels = truth.copy()
        labels[flipped] = (truth[flipped] + random.integers(1, len(scheme.names), len(flipped))) % (
            len(scheme.names)
        )
        found = suspects(labels, label_probabilities(texts, vectors, labels, group))
        hit = np.isin(found, flipped)
        top = hit[: len(flipped)].sum()
        rows.append(
            (hit[:50].mean(), top / len(flipped), len(found), hit.sum() / len(flipped), hit.mean())
        )
    means = np.mean(rows, axis=0)
    print(f"{options.share:.0%} of the labels flipped, mean of {options.draws} draws:")
    print(f"  of the first 50 findings, flipped         {means[0]:.1%}")
    print(f"  as many findings as flips: precision = recall {means[1]:.1%}")
    print(f"  all {means[2]:.0f} findings: recall {means[3]:.1%}, precision {means[4]:.1%}")


if __name__ == "__main__":
    main()
