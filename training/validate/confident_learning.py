"""Confident learning: which labels are probably wrong, from probabilities that never saw them.

Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels".
"""

import numpy as np

from training.arrays import FloatArray, IntArray


def suspects(labels: IntArray, probabilities: FloatArray) -> IntArray:
    """Return the rows whose label is probably wrong, the most probable first.

    `labels` (n,) are numbers under k, `probabilities` (n, k) out of sample. The paper's prune by
    noise rate: for each pair of labels the confident joint says how many sentences labelled i are
    truly j; as many are suspected, those with the largest margin of j over i, if it is positive.
    Suspects are ranked by the margin of their own label over the best other.
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

    Confidently j: the probability of j reaches the mean that sentences labelled j have; where it
    does so for several labels, the most probable counts.
    """
    count = probabilities.shape[1]
    thresholds = np.full(count, np.inf)  # a label that nobody wrote is nobody's
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
