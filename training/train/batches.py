"""Sentences to batches: the rows of a data set, their order and their padding."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torch import Tensor

from serving.onnx_model import TokenIds
from training.arrays import Float32Array
from training.config import TrainConfig
from training.labelled.sentence import LabelledSentence

# Sentences are sorted by length within pools of this many batches.
_POOL = 50

NO_LABEL = -100
"""The label of a sentence that only teachers have labelled."""


def to_examples(
    sentences: Sequence[LabelledSentence],
    tokens: Sequence[TokenIds],
    config: TrainConfig,
    names: Sequence[str],
    teacher: Float32Array | None = None,
) -> Dataset:
    """Return one row per sentence: token ids, length, label number and loss weight.

    `teacher`: teacher probabilities (rows, labels). Unlabelled sentences come last, in `tokens`
    too; their loss weight is the expected class weight under the teacher. The labels of
    `data.corrections` count alone, with their own weight.
    """
    labels = [names.index(sentence.label) for sentence in sentences]
    counts = np.bincount(labels, minlength=len(names))
    # Rare labels weigh more: 1 / sqrt(count), scaled so that the mean over the sentences is 1.
    # Between equal sentences and equal labels; every shipped model was trained with it.
    by_label = np.maximum(counts, 1) ** -0.5
    by_label *= len(labels) / (by_label * counts).sum()
    sure = np.where([s.sure for s in sentences], 1.0, config.data.unsure_weight)
    corrected = np.isin([str(s.file) for s in sentences], [str(p) for p in config.data.corrections])
    weights = by_label[labels] * sure * np.where(corrected, config.data.correction_weight, 1.0)
    columns: dict[str, list[Any]] = {}
    share = np.where(corrected, 0.0, config.distill.share)
    if config.data.second_share:
        targets = _targets(sentences, config.data.second_share, names)
        if teacher is None:
            teacher = targets
        else:
            of_teacher = share[:, np.newaxis].astype(np.float32)
            mixed = of_teacher * teacher[: len(labels)] + (1 - of_teacher) * targets
            teacher = np.concatenate([mixed, teacher[len(labels) :]])
        share = np.ones(len(labels))
    if teacher is not None:
        alone = len(teacher) - len(labels)
        weights = np.append(weights, teacher[len(labels) :] @ by_label)
        columns["teacher"] = list(teacher)
        columns["teacher_share"] = [*share, *[1.0] * alone]
        labels += [NO_LABEL] * alone
    columns["input_ids"] = [item.ids for item in tokens]
    columns["length"] = [len(item.ids) for item in tokens]
    columns["label"] = labels
    columns["weight"] = list(weights)
    return Dataset.from_dict(columns)


def _targets(
    sentences: Sequence[LabelledSentence], second_share: float, names: Sequence[str]
) -> Float32Array:
    """Return target probabilities (n, labels): the label, and `second_share` of the second one."""
    targets = np.zeros((len(sentences), len(names)), np.float32)
    for row, sentence in enumerate(sentences):
        share = second_share if sentence.second else 0.0
        targets[row, names.index(sentence.label)] = 1 - share
        if sentence.second:
            targets[row, names.index(sentence.second)] += share
    return targets


class Collator:
    """Examples to a batch, padded to its longest sentence."""

    def __init__(self, padding_id: int) -> None:
        self.padding_id = padding_id

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Return ids and mask (batch, tokens), labels and weights (batch,).

        With teachers also their probabilities (batch, labels) and share of the loss (batch,).
        """
        width = max(len(item["input_ids"]) for item in examples)
        ids = torch.full((len(examples), width), self.padding_id)
        mask = torch.zeros((len(examples), width), dtype=torch.int64)
        for row, item in enumerate(examples):
            ids[row, : len(item["input_ids"])] = torch.tensor(item["input_ids"])
            mask[row, : len(item["input_ids"])] = 1
        batch = {
            "input_ids": ids,
            "attention_mask": mask,
            "labels": torch.tensor([item["label"] for item in examples]),
            "weights": torch.tensor([item["weight"] for item in examples], dtype=torch.float32),
        }
        for name in ("teacher", "teacher_share"):
            if name in examples[0]:
                values = [item[name] for item in examples]
                batch[name] = torch.tensor(values, dtype=torch.float32)
        return batch


class LengthSampler(torch.utils.data.Sampler[int]):
    """Batches of sentences of similar length, in random order.

    transformers' own grouping leaves fifty batches sorted from long to short, and long sentences
    have other labels than short ones. The order depends only on seed and epoch, so a run that
    resumes sees the sentences that it would have seen.
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0, for the order of the next iteration."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(len(self.lengths))
        pools = _chunks(order, self.batch_size * _POOL)
        batches = [
            batch
            for pool in pools
            for batch in _chunks(
                np.array(sorted(pool, key=self.lengths.__getitem__)), self.batch_size
            )
        ]
        # A short batch in the middle would shift all later ones, so it comes last.
        batches.sort(key=len, reverse=True)
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for index in random.permutation(len(full)):
            yield from full[index].tolist()
        for batch in batches[len(full) :]:
            yield from batch.tolist()


def _chunks(values: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
