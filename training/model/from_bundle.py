"""A bundle back to a checkpoint, so that training can continue from a model that is served.

int8 rounding cannot be undone. Everything else can: a weight is its integers times their scale,
and where int8 moved a factor of an activation's channels into the weights, without that factor.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from pydantic import ValidationError
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer

from serving.atomic import atomic_folder, check_place
from serving.bundle import Bundle
from serving.errors import InputError
from training.config import AbstentionConfig, ExportConfig, ModelConfig
from training.labelled.sentence import LabelledSentence
from training.model.checkpoint import SETTINGS, CheckpointSettings, save_checkpoint
from training.model.classifier import SentenceClassifier, empty_encoder

_REMEDY = "Name a bundle that `rasd train` or `rasd export` has made."

_BIAS, _WEIGHT = ".bias", ".weight"
# The inputs of MatMulIntegerToFloat: integers, matrix, and the scale of each column.
_INTEGERS, _MATRIX, _COLUMN = 0, 1, 3
# The result of a linear layer without a bias, as in /encoder/layers.0/attn/Wqkv/MatMul_output_0.
_MODULE = re.compile(r"/(.+)/MatMul_(?:output_0|columns_scaled)")


def restore_checkpoint(
    bundle: Path,
    out: Path,
    *,
    held_out: Sequence[LabelledSentence] = (),
    sample: Sequence[str] = (),
) -> Path:
    """Write a checkpoint with the weights of a bundle to `out`; return `out`.

    `bundle` is a folder or the name of an included model. A bundle does not hold sentences:
    `rasd export` and `rasd average` of the checkpoint need `held_out`, and fast int8 products need
    `sample`. Raises InputError if it is not a bundle, or its graph is not one that `rasd` made.
    """
    check_place(out, sign=SETTINGS)
    source = Bundle.load(bundle)
    settings = _settings(source)
    model = SentenceClassifier(
        empty_encoder(AutoConfig.from_pretrained(source.folder)),
        labels=len(source.scheme.names),
        dropout=settings.dropout,
    )
    try:
        weights = graph_weights(onnx.load(source.folder / "model.onnx"))
        if lost := sorted(model.state_dict().keys() ^ weights.keys()):
            raise LookupError(f"{len(lost):,} of them, such as {lost[0]}")
        model.load_state_dict(weights)
    except (LookupError, RuntimeError) as error:
        raise InputError(
            f"{source.folder / 'model.onnx'}: its weights cannot be restored: "
            + " ".join(str(error).split()),
            f"{_REMEDY} Of some architectures (DeBERTa) a bundle does not hold all weights: "
            "train from the `checkpoint` folder beside it.",
        ) from error
    with atomic_folder(out) as folder:
        save_checkpoint(
            folder,
            model,
            settings,
            tokenizer=AutoTokenizer.from_pretrained(source.folder),
            held_out=held_out,
            sample=sample,
        )
    return out


def graph_weights(model: ModelProto) -> dict[str, Tensor]:
    """Return the weights of a graph in single precision, by their names in torch.

    The graph is one that `quantize_int8` or `export_onnx` wrote.
    """
    graph = _Graph(model)
    weights = {
        name: values for name, values in graph.constants.items() if name.endswith((_BIAS, _WEIGHT))
    }
    for name, table in graph.constants.items():
        parameter = name.removesuffix("_int8")
        if parameter != name and parameter.endswith(_WEIGHT):
            weights[parameter] = table * graph.constants[f"{parameter}_scale"]
    # The exporter numbers the matrices of linear layers, but their biases keep their names, and
    # products without one have the name of their module.
    found = set()
    for bias in [name for name in weights if name.endswith(_BIAS)]:
        product = graph.product_beside(bias)
        if product is not None:
            weights[bias.removesuffix(_BIAS) + _WEIGHT] = graph.matrix(product).T
            found.add(product.input[_MATRIX])
    for product in graph.products:
        module = _MODULE.fullmatch(product.output[0])
        if module and product.input[_MATRIX] not in found:
            weights[module[1].replace("/", ".") + _WEIGHT] = graph.matrix(product).T
    return {
        name: torch.from_numpy(np.array(values, np.float32)) for name, values in weights.items()
    }


class _Graph:
    """A graph's constants and products, and which node writes and reads each value."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.constants: dict[str, NDArray[Any]] = {
            item.name: numpy_helper.to_array(item) for item in graph.initializer
        }
        self.products = [node for node in graph.node if self._is_product(node)]
        self._makers = {name: node for node in graph.node for name in node.output}
        self._readers = {name: node for node in graph.node for name in node.input}

    def product_beside(self, bias: str) -> NodeProto | None:
        """Return the product with a constant matrix that `bias` is added to, if any."""
        reader = self._readers[bias]
        if reader.op_type == "Add":
            reader = self._makers.get(next(name for name in reader.input if name != bias))
            if reader is not None and reader.op_type == "Mul":  # by the scale of each row
                reader = self._makers.get(reader.input[0])
        return reader if reader is not None and self._is_product(reader) else None

    def matrix(self, product: NodeProto) -> NDArray[np.float32]:
        """Return the matrix (inputs, outputs) of a product, in single precision."""
        if product.op_type == "MatMul":
            return self.constants[product.input[_MATRIX]].astype(np.float32)
        return self._dequantized(product)

    def _is_product(self, node: NodeProto) -> bool:
        return node.op_type in ("MatMul", "MatMulIntegerToFloat") and (
            node.input[_MATRIX] in self.constants
        )

    def _dequantized(self, product: NodeProto) -> NDArray[np.float32]:
        """Return the matrix (inputs, outputs) of an integer product."""
        integers = self.constants[product.input[_MATRIX]].astype(np.float32)
        matrix: NDArray[np.float32] = integers * self.constants[product.input[_COLUMN]]
        scaled = self._makers[self._makers[product.input[_INTEGERS]].input[0]]
        factor = self.constants.get(scaled.input[1])
        # A constant factor is one per channel, and the matrix holds its inverse; a factor per row
        # is computed.
        return matrix if factor is None else matrix * factor[:, None]


def _settings(source: Bundle) -> CheckpointSettings:
    """Return the settings that the bundle was made with; they say that it was restored."""
    manifest = source.manifest
    if manifest.provenance is None:
        raise _no_configuration(source)
    config = manifest.provenance.config
    try:
        # Keys that an older version wrote and this one does not have are left out.
        dropout = ModelConfig(dropout=config["model"]["dropout"]).dropout
        abstention = AbstentionConfig.model_validate(config["abstention"])
        export = ExportConfig(
            min_agreement=config["export"]["min_agreement"],
            max_logit_difference=config["export"]["max_logit_difference"],
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise _no_configuration(source) from error
    return CheckpointSettings(
        name=manifest.name,
        scheme=manifest.scheme,
        normalizer=manifest.normalizer.name,
        max_length=manifest.max_length,
        dropout=dropout,
        coverage=abstention.coverage,
        min_agreement=export.min_agreement,
        max_logit_difference=export.max_logit_difference,
        provenance=manifest.provenance.model_copy(update={"restored_from": manifest.model}),
    )


def _no_configuration(source: Bundle) -> InputError:
    return InputError(
        f"{source.folder}: does not say with which configuration it was trained", _REMEDY
    )
