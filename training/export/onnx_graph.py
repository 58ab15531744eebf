"""A fine-tuned classifier to an ONNX graph in single precision, compared with torch."""

import warnings
from pathlib import Path

import numpy as np
import torch

from serving.errors import RasdError
from serving.onnx_model import OnnxModel
from training.model.classifier import SentenceClassifier

OPSET = 17


def export_onnx(model: SentenceClassifier, target: Path) -> None:
    """Write `model` as ONNX: `input_ids` and `attention_mask` (batch, tokens) to `logits`.

    The legacy exporter with eager attention gives a graph that quantises cleanly. The model's
    attention is left eager.
    """
    model = model.float().cpu().eval()
    model.encoder.set_attn_implementation("eager")
    ids = torch.ones((2, 9), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        # It warns that it is the legacy exporter and of what tracing may miss: see check_parity.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, mask),
            str(target),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )


def check_parity(
    model: SentenceClassifier, onnx: OnnxModel, sentences: list[list[int]], *, tolerance: float
) -> float:
    """Return the largest difference of logits between torch and ONNX on `sentences` (token ids).

    Sentences are scored one by one in torch and in batches in ONNX. Raises RasdError if the
    difference is above `tolerance`.
    """
    model = model.float().cpu().eval()
    with torch.inference_mode():
        expected = np.concatenate(
            [
                model(torch.tensor([ids]), torch.ones((1, len(ids)), dtype=torch.int64)).numpy()
                for ids in sentences
            ]
        )
    difference = float(np.abs(onnx.logits(sentences) - expected).max())
    if difference > tolerance:
        raise RasdError(
            f"the exported graph's logits differ from torch's by {difference:.2g}, "
            f"over {tolerance:.2g}",
            "Keep the checkpoint and report this: the export is wrong.",
        )
    return difference
