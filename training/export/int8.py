"""Int8 quantisation whose scores do not depend on the batch: per-channel and per-token scales.

ONNX Runtime's dynamic quantisation has one activation scale per batch. So a sentence's scores
depend on its neighbours, and one outlying token costs all others precision. Here the scale depends
on what computes the activation. Weights are signed, with one scale per column:

    w8 = round(w / column)       column = max |w| / 127 over the column

After a layer normalisation, activations are bounded, but a few channels are far wider than the
rest. Each channel has a constant scale, calibrated on sentences and moved into the weights (Xiao et
al. 2023, "SmoothQuant"); larger values saturate:

    x8 = round(x / channel)      x @ w  =  (x8 @ w8) * column        w8, column of channel * w

Elsewhere (attention output, inside the feed-forward) one token can be many times larger than
another, so each token has its own scale (Dettmers et al. 2022, "LLM.int8()", section 3):

    row = max |x| / 127          x8 = round(x / row)
                                 x @ w  =  row * ((x8 @ w8) * column)

x8 is unsigned with zero point 128. After GELU, which is never below -0.17, the zero point is 32,
which leaves 223 steps for positive values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from training.arrays import Float32Array
from training.export.smoothing import channel_peaks, smoothing_scale

# Smaller matrices (the head) cost nothing and stay in single precision.
MIN_COLUMNS = 16
# The scale of an activation that is all zeros.
_TINY = np.float32(1e-12)
# GELU's minimum is -0.1700 (at -0.7518); its last node is at most this many nodes after Erf.
_GELU_LEAST = 0.1701
_GELU_NODES = 4


def quantize_int8(source: Path, target: Path, calibration: Sequence[Sequence[int]]) -> None:
    """Write the single-precision graph `source` with int8 weights and embeddings to `target`.

    `calibration` is token ids of typical sentences; a hundred are enough. Without any, all
    activations have per-token scales, which is about a tenth slower.
    """
    model = onnx.load(source)
    quantizer = _Quantizer(model)
    quantizer.run(channel_peaks(model, quantizer.normalized, calibration))
    onnx.checker.check_model(model)
    onnx.save(model, target)


@dataclass(frozen=True, slots=True)
class _Range:
    """The names of three constants that map a row to unsigned int8.

    `zero` is the zero point, `steps` the number of steps from there to the row's peak, `least` the
    smallest peak: a smaller one is raised to it.
    """

    zero: str
    steps: str
    least: str


_SYMMETRIC = _Range("int8_zero", "int8_steps", "int8_least")
_BEHIND_GELU = _Range("int8_gelu_zero", "int8_gelu_steps", "int8_gelu_least")


class _Quantizer:
    """Rewrites one graph in place."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.weights = {item.name: item for item in self.graph.initializer}
        self._inline_copies()
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        # The layer normalisations that feed a matrix product.
        self.normalized = [
            node.output[0]
            for node in self.graph.node
            if node.op_type == "LayerNormalization" and self._products_of(node.output[0])
        ]
        self.nodes: list[NodeProto] = []
        # The additions of biases that a product has absorbed.
        self.absorbed: set[str] = set()
        # Activation name -> its quantised form and its scale, per channel or per row; Q, K and V
        # share one.
        self.channels: dict[str, tuple[str, Float32Array]] = {}
        self.rows: dict[str, tuple[str, str]] = {}

    def run(self, peaks: dict[str, Float32Array]) -> None:
        """Rewrite the graph; `peaks`: largest absolute value per channel of each normalisation."""
        self._constant("int8_one", np.float32(1))
        for kind, zero, steps, least in (
            (_SYMMETRIC, 128, 127, _TINY),
            (_BEHIND_GELU, 32, 223, _GELU_LEAST * 223 / 32),
        ):
            self._constant(kind.zero, np.uint8(zero))
            self._constant(kind.steps, np.float32(steps))
            self._constant(kind.least, np.float32(least))
        for node in self.graph.node:
            if node.input and node.input[0] in peaks and self._has_own_matrix(node):
                self._product_by_channel(node, peaks[node.input[0]])
            elif self._is_product(node):
                self._product_by_row(node)
            elif node.op_type == "Gather" and self._is_matrix(node.input[0]):
                self._embedding(node)
            elif node.output[0] not in self.absorbed:
                self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        self._drop_unused_weights()
        self.model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    def _inline_copies(self) -> None:
        """Read matrices that layers share (ALBERT) without the exporter's Identity nodes."""
        copies = {
            node.output[0]: node.input[0]
            for node in self.graph.node
            if node.op_type == "Identity" and self._is_matrix(node.input[0])
        }
        kept = [node for node in self.graph.node if node.output[0] not in copies]
        for node in kept:
            node.input[:] = [copies.get(name, name) for name in node.input]
        del self.graph.node[:]
        self.graph.node.extend(kept)

    def _is_matrix(self, name: str) -> bool:
        weight = self.weights.get(name)
        return (
            weight is not None
            and weight.data_type == onnx.TensorProto.FLOAT
            and len(weight.dims) == 2
            and min(weight.dims) >= MIN_COLUMNS
        )

    def _is_product(self, node: NodeProto) -> bool:
        return node.op_type == "MatMul" and self._is_matrix(node.input[1])

    def _has_own_matrix(self, node: NodeProto) -> bool:
        """Tell whether a node is a product whose matrix no other activation is multiplied with.

        Only such a matrix can hold the channel scales of its activation.
        """
        return self._is_product(node) and all(
            reader.input[0] == node.input[0] for reader in self.readers[node.input[1]]
        )

    def _products_of(self, activation: str) -> list[NodeProto]:
        return [node for node in self.readers.get(activation, []) if self._has_own_matrix(node)]

    def _is_gelu(self, activation: str, within: int = _GELU_NODES) -> bool:
        """Tell whether an activation is x * (erf(x / sqrt(2)) + 1) / 2, in whatever order."""
        maker = self.makers.get(activation)
        if maker is None or not within:
            return False
        return maker.op_type == "Erf" or (
            maker.op_type in {"Mul", "Add", "Div"}
            and any(self._is_gelu(name, within - 1) for name in maker.input)
        )

    def _product_by_channel(self, node: NodeProto, peaks: Float32Array) -> None:
        """Replace `x @ w + bias` after a layer normalisation; the product adds the bias itself."""
        activation, weight = node.input
        integers, scale = self._quantized_channels(activation, peaks)
        values = self._values(weight) * scale[:, None]
        matrix, column = self._quantized_weight(weight, values, axis=0)
        bias, output = self._bias_of(node)
        if bias:
            self.absorbed.add(output)
        self._multiply(integers, matrix, column, output, bias=bias)

    def _quantized_channels(self, activation: str, peaks: Float32Array) -> tuple[str, Float32Array]:
        """Return the name of an activation's uint8 form, and its channel scales (width,)."""
        if activation not in self.channels:
            matrices = [self._values(node.input[1]) for node in self._products_of(activation)]
            scale = smoothing_scale(peaks, matrices)
            name = f"{activation}_by_channel"
            factor = self._constant(f"{name}_factor", 1 / scale)
            scaled = self._node("Mul", [activation, factor], f"{name}_scaled")
            integers = self._quantized(scaled, _SYMMETRIC, f"{name}_int8")
            self.channels[activation] = integers, scale
        return self.channels[activation]

    def _bias_of(self, node: NodeProto) -> tuple[str, str]:
        """Return the names of a product's bias ("" without one) and of the result."""
        readers = self.readers.get(node.output[0], [])
        if len(readers) == 1 and readers[0].op_type == "Add":
            for name in readers[0].input:
                if name in self.weights and len(self.weights[name].dims) == 1:
                    return name, readers[0].output[0]
        return "", node.output[0]

    def _product_by_row(self, node: NodeProto) -> None:
        """Replace `x @ w`, with one scale per token."""
        activation, weight = node.input
        kind = _BEHIND_GELU if self._is_gelu(activation) else _SYMMETRIC
        integers, row = self._quantized_rows(activation, kind)
        matrix, column = self._quantized_weight(weight, self._values(weight), axis=0)
        product = f"{node.name}_columns_scaled"
        self._multiply(integers, matrix, column, product, zero=kind.zero)
        self._node("Mul", [product, row], node.output[0])

    def _quantized_rows(self, activation: str, kind: _Range) -> tuple[str, str]:
        """Return the names of an activation's uint8 form and of its row scale (…, 1)."""
        if activation not in self.rows:
            name = f"{activation}_by_row"
            size = activation
            if kind is _SYMMETRIC:  # after GELU the maximum is also the largest absolute value
                size = self._node("Abs", [activation], f"{name}_abs")
            peak = self._node("ReduceMax", [size], f"{name}_peak", axes=[-1], keepdims=1)
            safe = self._node("Max", [peak, kind.least], f"{name}_safe")
            scale = self._node("Div", [safe, kind.steps], f"{name}_scale")
            # Multiply by the inverse: dividing every element takes twice as long.
            inverse = self._node("Div", [kind.steps, safe], f"{name}_inverse")
            scaled = self._node("Mul", [activation, inverse], f"{name}_scaled")
            self.rows[activation] = self._quantized(scaled, kind, f"{name}_int8"), scale
        return self.rows[activation]

    def _quantized(self, scaled: str, kind: _Range, output: str) -> str:
        """Round to integers, add the zero point and saturate at eight bits."""
        return self._node("QuantizeLinear", [scaled, "int8_one", kind.zero], output)

    def _multiply(
        self,
        integers: str,
        matrix: str,
        column: str,
        output: str,
        *,
        zero: str = _SYMMETRIC.zero,
        bias: str = "",
    ) -> None:
        """Multiply integers; the operator applies column scale and bias itself."""
        inputs = [integers, matrix, "int8_one", column, zero] + (["", bias] if bias else [])
        self._node("MatMulIntegerToFloat", inputs, output, domain="com.microsoft")

    def _embedding(self, node: NodeProto) -> None:
        """Replace a look-up in an embedding table by an int8 one, with one scale per row."""
        table, ids = node.input
        integers, scale = self._quantized_weight(table, self._values(table), axis=1)
        rows = self._node("Gather", [integers, ids], f"{node.name}_int8")
        scales = self._node("Gather", [scale, ids], f"{node.name}_scale")
        wide = self._node("Cast", [rows], f"{node.name}_float", to=onnx.TensorProto.FLOAT)
        self._node("Mul", [wide, scales], node.output[0])

    def _values(self, name: str) -> Float32Array:
        values: Float32Array = numpy_helper.to_array(self.weights[name])
        return values

    def _quantized_weight(self, name: str, values: Float32Array, *, axis: int) -> tuple[str, str]:
        """Store a weight as int8 with one scale along `axis`; return both names."""
        peak = np.maximum(np.abs(values).max(axis=axis, keepdims=True), _TINY)
        scale = (peak / 127).astype(np.float32)
        integers = np.rint(values / scale).astype(np.int8)
        # A column scale is a vector; a row scale keeps its axis so that Gather gives (…, 1).
        return (
            self._constant(f"{name}_int8", integers),
            self._constant(f"{name}_scale", scale[0] if axis == 0 else scale),
        )

    def _node(
        self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any
    ) -> str:
        self.nodes.append(
            helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        if name not in self.weights:
            tensor = numpy_helper.from_array(np.asarray(value), name)
            self.weights[name] = tensor
            self.graph.initializer.append(tensor)
        return name

    def _drop_unused_weights(self) -> None:
        used = {name for node in self.graph.node for name in node.input}
        kept = [item for item in self.graph.initializer if item.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
