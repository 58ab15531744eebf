"""Row-wise int8: a graph whose scores do not depend on a sentence's neighbours.

Stock dynamic quantisation scales the activations of a whole batch by one number, so a sentence
is scored differently beside different neighbours, and one outlying token costs every other its
precision. Here every token (a row of the activation matrix) gets its own symmetric scale
(Dettmers et al. 2022, "LLM.int8()", section 3, vector-wise quantisation):

    row = max |x| / 127          x8 = round(x / row)            (unsigned, zero point 128)
    column = max |w| / 127       w8 = round(w / column)         (signed)
    x @ w  =  row * ((x8 @ w8) * column)
"""

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


def quantize_rowwise(source: Path, target: Path) -> None:
    """Write the single-precision graph `source` with int8 weights and embeddings to `target`."""
    model = onnx.load(source)
    _Quantizer(model).run()
    onnx.checker.check_model(model)
    onnx.save(model, target)


class _Quantizer:
    """Rewrites one graph in place."""

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.weights = {item.name: item for item in self.graph.initializer}
        self.nodes: list[NodeProto] = []
        # Activation name -> its quantised form and row scale: Q, K and V read the same one.
        self.rows: dict[str, tuple[str, str]] = {}

    def run(self) -> None:
        self._constant("rowwise_limit", np.float32(127.0))
        self._constant("rowwise_tiny", _TINY)
        self._constant("rowwise_one", np.float32(1.0))
        self._constant("rowwise_zero_point", np.uint8(128))
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
        quantized, row = self._quantized_rows(activation)
        weight8, column = self._quantized_weight(weight, axis=0)
        product = f"{node.name}_columns_scaled"
        # Multiplies the integers and applies the column scale in the product's own last pass.
        self._node(
            "MatMulIntegerToFloat",
            [quantized, weight8, "rowwise_one", column, "rowwise_zero_point"],
            product,
            domain="com.microsoft",
        )
        self._node("Mul", [product, row], node.output[0])

    def _quantized_rows(self, activation: str) -> tuple[str, str]:
        """Return the names of an activation's unsigned int8 form and of its row scale (…, 1)."""
        if activation not in self.rows:
            name = f"{activation}_rowwise"
            size = self._node("Abs", [activation], f"{name}_abs")
            peak = self._node("ReduceMax", [size], f"{name}_peak", axes=[-1], keepdims=1)
            safe = self._node("Max", [peak, "rowwise_tiny"], f"{name}_safe")
            scale = self._node("Div", [safe, "rowwise_limit"], f"{name}_scale")
            scaled = self._node("Div", [activation, scale], f"{name}_scaled")
            integers = self._node(
                "QuantizeLinear", [scaled, "rowwise_one", "rowwise_zero_point"], f"{name}_int8"
            )
            self.rows[activation] = integers, scale
        return self.rows[activation]

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
