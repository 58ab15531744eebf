"""The peak of each channel of an activation, and the int8 scale that follows from it."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper

from serving.machine import available_cores
from training.arrays import Float32Array

# SmoothQuant's alpha: how much of a wide channel's range moves from activations to weights. Of 0.5
# to 0.9, the value with the best label agreement of int8 and single precision.
SMOOTHING = 0.75
# The least scale, relative to the median, for a channel that is always zero or never used.
_LEAST = 1e-3
_TINY = np.float32(1e-12)


def channel_peaks(
    model: ModelProto, names: Sequence[str], sentences: Sequence[Sequence[int]]
) -> dict[str, Float32Array]:
    """Return the largest absolute value of each channel (width,) of the activations `names`.

    `sentences` are token ids; each goes through the graph alone.
    """
    if not names:
        return {}
    probed = ModelProto()
    probed.CopyFrom(model)
    probed.graph.output.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = onnxruntime.InferenceSession(
        probed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    peaks: dict[str, Float32Array] = {}
    for ids in sentences:
        feed = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        for name, values in zip(names, session.run(list(names), feed), strict=True):
            found = np.abs(values).max(axis=(0, 1))
            peaks[name] = np.maximum(peaks[name], found) if name in peaks else found
    return peaks


def smoothing_scale(peaks: Float32Array, matrices: Sequence[Float32Array]) -> Float32Array:
    """Return the int8 scale of each channel (width,) that feeds `matrices` (width, …).

    Xiao et al. 2023, "SmoothQuant", equation 4: peaks ** alpha / max |weights| ** (1 - alpha),
    times the one number that keeps every channel's peak within 127.
    """
    sizes = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    peaks, sizes = (np.maximum(x, _LEAST * np.median(x)) + _TINY for x in (peaks, sizes))
    scale = peaks**SMOOTHING / sizes ** (1 - SMOOTHING)
    scaled: Float32Array = (scale * (peaks / scale).max() / 127).astype(np.float32)
    return scaled
