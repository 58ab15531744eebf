"""Shared by several benchmarks: interleaved timing, and ONNX Runtime in its usual setting.

The usual setting: sentences in file order, padded batches, intra-op threads.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

PAUSE = 0.5  # seconds; the idle threads of the previous method stop spinning


def measure(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return each method's median seconds, after a warm-up pass."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            time.sleep(PAUSE)
            started = time.perf_counter()
            way()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load the graph at `path` with `threads` intra-op threads."""
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
