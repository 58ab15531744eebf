"""What is counted of sentences and their answers: a row of numbers that can be added up."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.reference import CONFIDENCE_BINS, TOKEN_BUCKETS, Reference
from training.arrays import FloatArray, IntArray


def profile(
    probabilities: FloatArray, ids: Sequence[int], unknown: int | None, *, certain: bool
) -> IntArray:
    """Return the counts (width,) of one sentence: its probabilities (labels,) and its token ids.

    `unknown` is the id of the unknown token, if there is one.
    """
    labels = len(probabilities)
    best = int(probabilities.argmax())
    answer = np.zeros(labels + CONFIDENCE_BINS + 2, dtype=np.int64)
    answer[best] = 1
    bin_number = int(probabilities[best] * CONFIDENCE_BINS)
    answer[labels + min(bin_number, CONFIDENCE_BINS - 1)] = 1
    answer[-2] = not certain
    answer[-1] = sum(number == unknown for number in ids)
    buckets = np.array(ids, dtype=np.int64) % TOKEN_BUCKETS
    return np.concatenate([answer, np.bincount(buckets, minlength=TOKEN_BUCKETS)])


def width(labels: int) -> int:
    """Return how many counts a profile of so many labels has."""
    return labels + CONFIDENCE_BINS + 2 + TOKEN_BUCKETS


def to_reference(counts: IntArray) -> Reference:
    """Return counts (width,) in the form that a bundle stores."""
    values = counts.tolist()
    labels = len(values) - width(0)
    return Reference(
        labels=values[:labels],
        confidence=values[labels : labels + CONFIDENCE_BINS],
        uncertain=values[labels + CONFIDENCE_BINS],
        unknown=values[labels + CONFIDENCE_BINS + 1],
        tokens=values[-TOKEN_BUCKETS:],
    )


def of_reference(reference: Reference) -> IntArray:
    """Return the counts (width,) that a bundle stores."""
    singles = (reference.uncertain, reference.unknown)
    return np.array(
        [*reference.labels, *reference.confidence, *singles, *reference.tokens], dtype=np.int64
    )


def unknown_id(tokenizer: Path) -> int | None:
    """Return the id of the unknown token of a `tokenizer.json`; None if every text has tokens."""
    model = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]
    if "unk_id" in model:
        return None if model["unk_id"] is None else int(model["unk_id"])
    number = model.get("vocab", {}).get(model.get("unk_token"))
    return None if number is None else int(number)
