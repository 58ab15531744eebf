"""Confident learning: which labels are probably wrong, from probabilities that never saw them.

Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".
"""

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray, IntArray


def suspects(labels: IntArray, probabilities: FloatArray) -> IntArray:
    """Return the rows whose label is probably wrong, the most probable first.

    `labels` (n,) are numbers under k, `probabilities` (n, k) out of sample. A row is counted for
    label j when its probability of j reaches the mean that sentences labelled j have (the paper's
    threshold); where several do, the most probable counts. It is suspected when that j is not its
    own label. Suspects are ranked by the normalised margin between their own label's probability
    and the best other's.
    """
    exact = probabilities.astype(np.float64)
    count = exact.shape[1]
    thresholds = np.full(count, np.inf)  # a label that nobody wrote suspects nobody
    for label in np.unique(labels):
        thresholds[label] = exact[labels == label, label].mean()
    reached = np.where(exact >= thresholds, exact, -np.inf)
    counted = np.isfinite(reached).any(axis=1) & (reached.argmax(axis=1) != labels)
    rows: NDArray[np.int64] = np.flatnonzero(counted)
    order = np.argsort(margins(labels, exact)[rows], kind="stable")
    found: IntArray = rows[order]
    return found


def margins(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return (n,): the own label's probability minus that of the most probable other label."""
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    result: FloatArray = own - others.max(axis=1)
    return result
