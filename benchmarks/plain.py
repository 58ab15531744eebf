"""ONNX Runtime as it is mostly used: sentences in file order, padded batches, threads inside."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load the graph at `path` with `threads` threads inside every operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    return onnxruntime.InferenceSession(str(path), options)


def logits(
    loaded: onnxruntime.InferenceSession,
    sentences: Sequence[Sequence[int]],
    *,
    batch_size: int,
    padding_id: int,
) -> NDArray[np.float32]:
    """Return logits (sentences, labels) of token ids, each batch padded to its longest."""
    parts = []
    for start in range(0, len(sentences), batch_size):
        batch = sentences[start : start + batch_size]
        width = max(map(len, batch))
        ids = np.full((len(batch), width), padding_id, np.int64)
        mask = np.zeros((len(batch), width), np.int64)
        for row, sentence in enumerate(batch):
            ids[row, : len(sentence)] = sentence
            mask[row, : len(sentence)] = 1
        parts.append(loaded.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0])
    return np.concatenate(parts)
