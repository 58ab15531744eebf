"""How far each channel of an activation reaches, and what that makes its int8 scale."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper

from serving.machine import available_cores


# How much of the difficulty of a wide channel moves from the activations to the weights (alpha of
# SmoothQuant). Of 0.5 to 0.9, what int8 and single precision agree on most labels with.
SMOOTHING = 0.75
# A channel that is always zero, or never used, is as good as any other.
_LEAST = 1e-3
_TINY = np.float32(1e-12)


def channel_peaks(
    model: ModelProto, names: Sequence[str], sentences: Sequence[Sequence[int]]
) -> dict[str, FloatArray]:
    """Return the largest size of each channel (width,) of the activations `names`.

    `sentences` are token ids, each run through the graph by itself.
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
    peaks: dict[str, FloatArray] = {}
    for ids in sentences:
        feed = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        for name, values in zip(names, session.run(list(names), feed), strict=True):
            found = np.abs(values).max(axis=(0, 1))
            peaks[name] = np.maximum(peaks[name], found) if name in peaks else found
    return peaks


def smoothing_scale(peaks: FloatArray, matrices: Sequence[FloatArray]) -> FloatArray:
    """Return the int8 scale of each channel (width,) that `matrices` (width, …) are applied to.

    Xiao et al. 2023, "SmoothQuant", equation 4: peaks ** alpha over the weights' largest sizes
    ** (1 - alpha), times the one number that keeps every channel's peak within 127.
    """
    sizes = np.max([np.abs(matrix).max(axis=1) for matrix in matrices], axis=0)
    peaks, sizes = (np.maximum(x, _LEAST * np.median(x)) + _TINY for x in (peaks, sizes))
    scale = peaks**SMOOTHING / sizes ** (1 - SMOOTHING)
    scaled: FloatArray = (scale * (peaks / scale).max() / 127).astype(np.float32)
    return scaled
