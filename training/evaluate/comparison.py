"""Two models on the same sentences: is one better, or was it luck?

McNemar, "Note on the sampling error of the difference between correlated proportions",
Psychometrika 12 (1947), in its exact form; and a bootstrap that draws whole sentences, so that
both models always answer the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluate.bootstrap import (
    RESAMPLES,
    SEED,
    Interval,
    accuracy,
    f1_scores,
    interval,
    macro_f1,
    resample_counts,
)
from training.arrays import FloatArray, IntArray
from training.evaluate.metrics import confusion_matrix


@dataclass(frozen=True, slots=True)
class Paired:
    """A figure of the model and of the one that it is compared with.

    `difference` is the model's minus the other's, with its 95 % interval.
    """

    model: float
    other: float
    difference: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a model stands against another on sentences that both have answered.

    `only_model_right` and `only_other_right` are the sentences that one labels right and the
    other wrong; `mcnemar_p` is how often luck alone would part as many so unevenly. `better` is
    the share of the resamples in which the model's macro-F1 is the higher, half of the ties.
    """

    other: str
    sentences: int
    both_right: int
    only_model_right: int
    only_other_right: int
    both_wrong: int
    mcnemar_p: float
    macro_f1: Paired
    accuracy: Paired
    better: float
    labels: dict[str, Paired]

    @property
    def verdict(self) -> str:
        """What the interval of the macro-F1's difference allows to say: "the model is …"."""
        span = self.macro_f1.interval
        if span.low > 0:
            return "better: the interval of macro-F1's difference lies above 0"
        if span.high < 0:
            return "worse: the interval of macro-F1's difference lies below 0"
        return "neither better nor worse, as far as these sentences can tell"


def compare(
    labels: IntArray,
    model: IntArray,
    other: IntArray,
    names: Sequence[str],
    *,
    name: str,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compare the labels that two models give (n,) with the true ones (n,); n > 0.

    All are label numbers; `name` is what the other model is called.
    """
    size = len(names)
    # Every sentence is a cell (true, model's, other's): drawing cells is drawing sentences.
    cells = np.zeros((size, size, size), dtype=np.int64)
    np.add.at(cells, (labels, model, other), 1)
    drawn = resample_counts(cells, resamples=resamples, seed=seed)
    points = confusion_matrix(labels, model, size), confusion_matrix(labels, other, size)
    resampled = drawn.sum(axis=3), drawn.sum(axis=2)

    macro = [macro_f1(r, p) for r, p in zip(resampled, points, strict=True)]
    shares = [accuracy(r) for r in resampled]
    f1 = [np.nan_to_num(f1_scores(r)) for r in resampled]
    point_f1 = [np.nan_to_num(f1_scores(p)) for p in points]
    right, other_right = model == labels, other == labels
    only_model = int((right & ~other_right).sum())
    only_other = int((~right & other_right).sum())
    return Comparison(
        other=name,
        sentences=len(labels),
        both_right=int((right & other_right).sum()),
        only_model_right=only_model,
        only_other_right=only_other,
        both_wrong=int((~right & ~other_right).sum()),
        mcnemar_p=mcnemar(only_model, only_other),
        macro_f1=_paired([float(macro_f1(p, p)) for p in points], macro[0] - macro[1]),
        accuracy=_paired([float(accuracy(p)) for p in points], shares[0] - shares[1]),
        better=float(np.mean((macro[0] > macro[1]) + (macro[0] == macro[1]) / 2)),
        labels={
            label: _paired([float(f[i]) for f in point_f1], f1[0][:, i] - f1[1][:, i])
            for i, label in enumerate(names)
        },
    )


def mcnemar(one: int, other: int) -> float:
    """Return the exact two-sided p-value of McNemar's test for the discordant pairs.

    Were both models as good, each of the pairs would fall to either side like a fair coin; the
    sum of the binomial coefficients is taken in whole numbers, so that nothing is rounded.
    """
    pairs = one + other
    ways = term = 1
    for k in range(min(one, other)):
        term = term * (pairs - k) // (k + 1)
        ways += term
    return min(1.0, float(2 * ways / 2**pairs))


def _paired(points: Sequence[float], differences: FloatArray) -> Paired:
    model, other = points
    return Paired(model, other, model - other, interval(differences))
