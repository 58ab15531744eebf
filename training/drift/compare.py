"""How far an archive is from the reference, with intervals, and whether retraining is due."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from serving.reference import CONFIDENCE_BINS
from training.arrays import FloatArray, IntArray
from training.drift.profile import width
from training.evaluate.bootstrap import LEVEL

_RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is compared. Changes above `tolerance` call for retraining."""

    name: str
    meaning: str
    tolerance: float
    change: Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Change:
    """A measured change, its 95 % interval and the largest that is tolerated.

    It is `due` if the whole interval is above the tolerance.
    """

    name: str
    meaning: str
    value: float
    low: float
    high: float
    tolerance: float

    @property
    def due(self) -> bool:
        """Tell whether the change calls for retraining."""
        return self.low > self.tolerance


def compare(blocks: IntArray, reference: IntArray, *, seed: int = 0) -> list[Change]:
    """Compare the profiles (n, width) of n blocks of documents with the reference's.

    Basic bootstrap: blocks are drawn with replacement. So are those of the reference (m, width); of
    a stored one (width,), sentences and tokens are drawn from their counts.

    A distance is never negative, so chance alone makes it positive, in the
    resamples once more. Twice the value minus their quantiles, the median among them, takes that
    off; what is left may be slightly negative.
    """
    random = np.random.default_rng(seed)
    drawn = _redrawn(blocks, random)
    stored = reference.ndim == 1
    references = _resampled(reference, random) if stored else _redrawn(reference, random)
    total = blocks.sum(axis=0, dtype=np.float64)[None]
    expected = np.atleast_2d(reference).sum(axis=0, dtype=np.float64)[None]
    changes = []
    for measure in MEASURES:
        found = float(measure.change(total, expected)[0])
        again = measure.change(drawn, references)
        high, value, low = 2 * found - np.quantile(again, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
        changes.append(
            Change(
                *(measure.name, measure.meaning, float(value), float(low), float(high)),
                tolerance=measure.tolerance,
            )
        )
    return changes


def _redrawn(blocks: IntArray, random: np.random.Generator) -> FloatArray:
    """Draw (resamples, width) sums of as many blocks (n, width), with replacement."""
    count = len(blocks)
    weights = random.multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
    sums: FloatArray = weights.astype(np.float64) @ blocks.astype(np.float64)
    return sums


def _resampled(reference: IntArray, random: np.random.Generator) -> FloatArray:
    """Draw (resamples, width) counts as sentences and tokens of the reference might have been."""
    labels, confidence, uncertain, unknown, tokens = _parts(reference.astype(np.float64))
    sentences, pieces = int(labels.sum()), int(tokens.sum())

    def shares(counts: FloatArray) -> IntArray:
        total = int(counts.sum())
        drawn: IntArray = random.multinomial(total, counts / total, size=_RESAMPLES)
        return drawn

    def part(counts: FloatArray, of: int) -> IntArray:
        drawn: IntArray = random.binomial(of, counts / of, size=(_RESAMPLES, 1))
        return drawn

    return np.hstack(
        [
            *(shares(labels), shares(confidence)),
            *(part(uncertain, sentences), part(unknown, pieces), shares(tokens)),
        ]
    ).astype(np.float64)


def _parts(counts: FloatArray) -> tuple[FloatArray, ...]:
    """Cut profiles (…, width) into labels, confidence, uncertain, unknown and tokens."""
    labels = counts.shape[-1] - width(0)
    ends = np.cumsum([labels, CONFIDENCE_BINS, 1, 1])
    return tuple(np.split(counts, ends, axis=-1))


def _share(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Return parts (…, n) of the sums of `whole` (…, m)."""
    shares: FloatArray = part / np.maximum(whole.sum(axis=-1, keepdims=True), 1)
    return shares


def _label_mix(now: FloatArray, then: FloatArray) -> FloatArray:
    p, q = (_share(_parts(counts)[0], _parts(counts)[0]) for counts in (now, then))
    distance: FloatArray = np.abs(p - q).sum(axis=-1) / 2
    return distance


def _confidence(now: FloatArray, then: FloatArray) -> FloatArray:
    middles = (np.arange(CONFIDENCE_BINS) + 0.5) / CONFIDENCE_BINS
    p, q = (_share(_parts(counts)[1], _parts(counts)[1]) @ middles for counts in (now, then))
    lost: FloatArray = q - p
    return lost


def _uncertain(now: FloatArray, then: FloatArray) -> FloatArray:
    p, q = (_share(_parts(counts)[2], _parts(counts)[0])[..., 0] for counts in (now, then))
    gained: FloatArray = p - q
    return gained


def _unknown(now: FloatArray, then: FloatArray) -> FloatArray:
    p, q = (_share(_parts(counts)[3], _parts(counts)[4])[..., 0] for counts in (now, then))
    gained: FloatArray = p - q
    return gained


def _tokens(now: FloatArray, then: FloatArray) -> FloatArray:
    """Return the Jensen-Shannon divergence in bits (0 to 1) of the tokens' buckets."""
    p, q = (_share(_parts(counts)[4], _parts(counts)[4]) for counts in (now, then))
    middle = (p + q) / 2

    def divergence(shares: FloatArray) -> FloatArray:
        ratio = np.divide(shares, middle, out=np.ones_like(shares), where=shares > 0)
        bits: FloatArray = (shares * np.log2(ratio)).sum(axis=-1)
        return bits

    distance: FloatArray = (divergence(p) + divergence(q)) / 2
    return distance


MEASURES = (
    Measure("label mix", "share of sentences whose predicted label moved", 0.05, _label_mix),
    Measure("confidence", "mean probability of the predicted label, lost", 0.02, _confidence),
    Measure("uncertain", "share of sentences that are not certain, gained", 0.05, _uncertain),
    Measure("unknown tokens", "share of tokens that the vocabulary lacks, gained", 0.005, _unknown),
    Measure("vocabulary", "Jensen-Shannon divergence of token frequencies", 0.005, _tokens),
)
