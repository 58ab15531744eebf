"""Row-wise int8: a graph whose scores do not depend on a sentence's neighbours.

Stock dynamic quantisation scales the activations of a whole batch by one number, so a sentence
is scored differently beside different neighbours, and one outlying token costs every other its
precision. Here every token (a row of the activation matrix) gets its own symmetric scale
(Dettmers et al. 2022, "LLM.int8()", section 3, vector-wise quantisation):

    row = max |x| / 127          x8 = round(x / row)            (unsigned, zero point 128)
    column = max |w| / 127       w8 = round(w / column)         (signed)
    x @ w  =  row * ((x8 @ w8) * column)

Behind GELU, which never falls below -0.17, half of the integers would stay unused: there zero
lies at 32, and 223 steps are left for what is positive.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

# Smaller matrices (a head, a pooling vector) cost nothing and stay in single precision.
MIN_COLUMNS = 16
# The scale of a row of zeros; its quantised values are zero whatever it is.
_TINY = np.float32(1e-12)
# GELU's least value is -0.1700 (at -0.7518); its node stands at most this far behind its Erf.
_GELU_LEAST = 0.1701
_GELU_NODES = 4


def quantize_rowwise(source: Path, target: Path) -> None:
    """Write the single-precision graph `source` with int8 weights and embeddings to `target`."""
    model = onnx.load(source)
    _Quantizer(model).run()
    onnx.checker.check_model(model)
    onnx.save(model, target)


@dataclass(frozen=True, slots=True)
class _Range:
    """How a row's values are laid on unsigned int8.

    `zero` is the constant that 0.0 becomes, `steps` the one that the row's peak lies above it;
    a peak under the constant `least` is taken for that.
    """

    zero: str
    steps: str
    least: str


_SYMMETRIC = _Range("rowwise_zero", "rowwise_steps", "rowwise_least")
_BEHIND_GELU = _Range("rowwise_gelu_zero", "rowwise_gelu_steps", "rowwise_gelu_least")


class _Quantizer:
    """Rewrites one graph in place."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.weights = {item.name: item for item in self.graph.initializer}
        self.nodes: list[NodeProto] = []
        self.makers = {name: node for node in self.graph.node for name in node.output}
        # Activation name -> its quantised form and row scale: Q, K and V read the same one.
        self.rows: dict[str, tuple[str, str]] = {}

    def run(self) -> None:
        self._constant("rowwise_one", np.float32(1))
        for kind, zero, steps, least in (
            (_SYMMETRIC, 128, 127, _TINY),
            (_BEHIND_GELU, 32, 223, _GELU_LEAST * 223 / 32),
        ):
            self._constant(kind.zero, np.uint8(zero))
            self._constant(kind.steps, np.float32(steps))
            self._constant(kind.least, np.float32(least))
        for node in self.graph.node:
            if node.op_type == "MatMul" and self._is_matrix(node.input[1]):
                self._product(node)
            elif node.op_type == "Gather" and self._is_matrix(node.input[0]):
                self._embedding(node)
            else:
                self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        self._drop_unused_weights()
        self.model.opset_import.append(helper.make_opsetid("com.microsoft", 1))

    def _is_matrix(self, name: str) -> bool:
        weight = self.weights.get(name)
        return (
            weight is not None
            and weight.data_type == onnx.TensorProto.FLOAT
            and len(weight.dims) == 2
            and min(weight.dims) >= MIN_COLUMNS
        )

    def _product(self, node: NodeProto) -> None:
        """Replace `x @ w`."""
        activation, weight = node.input
        kind = _BEHIND_GELU if self._is_gelu(activation) else _SYMMETRIC
        quantized, row = self._quantized_rows(activation, kind)
        weight8, column = self._quantized_weight(weight, axis=0)
        product = f"{node.name}_columns_scaled"
        # Multiplies the integers and applies the column scale in the product's own last pass.
        self._node(
            "MatMulIntegerToFloat",
            [quantized, weight8, "rowwise_one", column, kind.zero],
            product,
            domain="com.microsoft",
        )
        self._node("Mul", [product, row], node.output[0])
        self._keep_bias_from_gelu(node.output[0])

    def _is_gelu(self, activation: str, within: int = _GELU_NODES) -> bool:
        """Tell whether an activation is x * (erf(x / sqrt(2)) + 1) / 2, in whatever order."""
        maker = self.makers.get(activation)
        if maker is None or not within:
            return False
        return maker.op_type == "Erf" or (
            maker.op_type in {"Mul", "Add", "Div"}
            and any(self._is_gelu(name, within - 1) for name in maker.input)
        )

    def _quantized_rows(self, activation: str, kind: _Range) -> tuple[str, str]:
        """Return the names of an activation's unsigned int8 form and of its row scale (…, 1)."""
        if activation not in self.rows:
            name = f"{activation}_rowwise"
            # Behind GELU the largest value is the largest size too, or else under `least`.
            size = (
                activation
                if kind is _BEHIND_GELU
                else self._node("Abs", [activation], f"{name}_abs")
            )
            peak = self._node("ReduceMax", [size], f"{name}_peak", axes=[-1], keepdims=1)
            safe = self._node("Max", [peak, kind.least], f"{name}_safe")
            scale = self._node("Div", [safe, kind.steps], f"{name}_scale")
            # A product with the inverse: a division of every element takes twice as long.
            inverse = self._node("Div", [kind.steps, safe], f"{name}_inverse")
            scaled = self._node("Mul", [activation, inverse], f"{name}_scaled")
            integers = self._node(
                "QuantizeLinear", [scaled, "rowwise_one", kind.zero], f"{name}_int8"
            )
            self.rows[activation] = integers, scale
        return self.rows[activation]

    def _keep_bias_from_gelu(self, product: str) -> None:
        """Give a product's bias three dimensions: of one, ONNX Runtime fuses it with its GELU.

        The fused operator takes longer than the two.
        """
        for node in self.graph.node:
            for name in node.input if node.op_type == "Add" and product in node.input else ():
                bias = self.weights.get(name)
                if bias is not None and len(bias.dims) == 1:
                    bias.dims[:] = [1, 1, *bias.dims]

    def _embedding(self, node: NodeProto) -> None:
        """Replace a look-up in an embedding table; each of its rows has a scale."""
        table, ids = node.input
        table8, scale = self._quantized_weight(table, axis=1)
        rows = self._node("Gather", [table8, ids], f"{node.name}_int8")
        scales = self._node("Gather", [scale, ids], f"{node.name}_scale")
        wide = self._node("Cast", [rows], f"{node.name}_float", to=onnx.TensorProto.FLOAT)
        self._node("Mul", [wide, scales], node.output[0])

    def _quantized_weight(self, name: str, *, axis: int) -> tuple[str, str]:
        """Store a weight as int8 and the scale that `axis` shares; return both names."""
        values = numpy_helper.to_array(self.weights[name])
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
