"""The comparison of two models on the same sentences: is the difference more than chance?

McNemar, "Note on the sampling error of the difference between correlated proportions",
Psychometrika 12 (1947), in its exact form; and a paired bootstrap: it draws sentences, and both
models answer the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import binomtest

from training.arrays import FloatArray, IntArray
from training.evaluate.bootstrap import (
    RESAMPLES,
    Interval,
    accuracy,
    f1_scores,
    interval,
    macro_f1,
    resample_counts,
)
from training.evaluate.metrics import confusion_matrix


class Verdict(StrEnum):
    """What the interval of the difference in macro-F1 says about the model."""

    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"


_SENTENCES = {
    Verdict.BETTER: "better: the interval of the difference in macro-F1 is above 0",
    Verdict.WORSE: "worse: the interval of the difference in macro-F1 is below 0",
    Verdict.UNDECIDED: "neither better nor worse, as far as these sentences can tell",
}


@dataclass(frozen=True, slots=True)
class Paired:
    """A metric of two models; `difference` is model minus other, with its 95 % interval."""

    model: float
    other: float
    difference: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model compared with another on the sentences that both answered.

    `only_model_right` and `only_other_right` count the sentences that only one of them labels
    right. `mcnemar_p`: two-sided p-value of McNemar's exact test. `better`: share of the resamples
    in which the model's macro-F1 is higher; ties count one half.
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
    def verdict(self) -> Verdict:
        """Whether the model is better or worse by more than chance."""
        span = self.macro_f1.interval
        if span.low > 0:
            return Verdict.BETTER
        return Verdict.WORSE if span.high < 0 else Verdict.UNDECIDED

    @property
    def conclusion(self) -> str:
        """The verdict as the end of a sentence: "the model is …"."""
        return _SENTENCES[self.verdict]


def compare(
    labels: IntArray,
    model: IntArray,
    other: IntArray,
    names: Sequence[str],
    *,
    name: str,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare the labels of two models (n,) with the true ones (n,); n > 0.

    All are label numbers; `name` is the name of the other model.
    """
    size = len(names)
    # Every sentence is a cell (true, model's, other's), so drawing cells is drawing sentences.
    cells = np.zeros((size, size, size), dtype=np.int64)
    np.add.at(cells, (labels, model, other), 1)
    drawn = resample_counts(cells, resamples)
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

    For equally good models each pair is a fair coin.
    """
    return float(binomtest(one, one + other).pvalue) if one + other else 1.0


def _paired(points: Sequence[float], differences: FloatArray) -> Paired:
    model, other = points
    return Paired(model, other, model - other, interval(differences))
