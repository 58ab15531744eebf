"""Confident learning: labels that are probably wrong, found with out-of-sample probabilities.

Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".
"""

import numpy as np

from training.arrays import FloatArray, IntArray


def suspects(labels: IntArray, probabilities: FloatArray) -> IntArray:
    """Return the rows whose label is probably wrong, the most probable error first.

    `labels` (n,) are numbers below k, `probabilities` (n, k) are out of sample. This is the paper's
    "prune by noise rate": the confident joint estimates how many sentences labelled i are truly j.
    As many are suspects: those with the largest margin of j over i, if positive. Suspects are
    ranked by the margin of their own label over the best other one.
    """
    exact = probabilities.astype(np.float64)
    joint = _confident_joint(labels, exact)
    chosen: set[int] = set()
    for given in np.unique(labels):
        rows = np.flatnonzero(labels == given)
        share = joint[given] / max(joint[given].sum(), 1)
        for true in np.flatnonzero(np.arange(len(share)) != given):
            gain = exact[rows, true] - exact[rows, given]
            top = np.argsort(-gain, kind="stable")[: round(share[true] * len(rows))]
            chosen.update(rows[top][gain[top] > 0].tolist())
    found = np.array(sorted(chosen), dtype=np.int64)
    ranked: IntArray = found[np.argsort(margins(labels, exact)[found], kind="stable")]
    return ranked


def _confident_joint(labels: IntArray, probabilities: FloatArray) -> IntArray:
    """Return counts (k, k) of rows labelled i that are confidently j.

    Confidently j: the probability of j reaches its mean over the sentences labelled j. If several
    labels do, the most probable one counts.
    """
    count = probabilities.shape[1]
    thresholds = np.full(count, np.inf)  # a label that does not occur is never reached
    for label in np.unique(labels):
        thresholds[label] = probabilities[labels == label, label].mean()
    reached = np.where(probabilities >= thresholds, probabilities, -np.inf)
    counted = np.isfinite(reached).any(axis=1)
    joint = np.zeros((count, count), dtype=np.int64)
    np.add.at(joint, (labels[counted], reached[counted].argmax(axis=1)), 1)
    return joint


def margins(labels: IntArray, probabilities: FloatArray) -> FloatArray:
    """Return (n,): the own label's probability minus that of the most probable other label."""
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -np.inf
    result: FloatArray = own - others.max(axis=1)
    return result
