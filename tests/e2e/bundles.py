"""Bundles for tests: copies of `fast`, changed, and graphs that no training would make."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from serving.bundle import MANIFEST, sha256, shipped_model

LABELS = 5


def copy_of_fast(folder: Path, **values: object) -> Path:
    """A copy of the smaller model that ships, with these values in its manifest."""
    shutil.copytree(shipped_model("fast"), folder)
    change_manifest(folder, **values)
    return folder


def change_manifest(folder: Path, **values: object) -> None:
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest | values), encoding="utf-8")


def manifest_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))


def list_files(folder: Path) -> None:
    """Bring the manifest's digests up to date."""
    names = manifest_of(folder)["files"]
    change_manifest(folder, files={name: sha256(folder / name) for name in names})


def put_graph(folder: Path, make: Callable[[], onnx.ModelProto]) -> None:
    """Give a bundle another graph, whose golden predictions are then those of equal logits."""
    onnx.save(make(), folder / "model.onnx")
    golden = [
        item | {"probabilities": [1 / LABELS] * LABELS}
        for item in manifest_of(folder)["golden_predictions"]
    ]
    change_manifest(folder, golden_predictions=golden, golden_arithmetic=None)
    list_files(folder)


def endless_graph() -> onnx.ModelProto:
    """A loop without a condition and without a count."""
    flag = helper.make_tensor_value_info("keep", TensorProto.BOOL, [])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["keep"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [flag, helper.make_tensor_value_info("after", TensorProto.FLOAT, None)],
    )
    return _model(
        [
            helper.make_node("Equal", ["one", "one"], ["true"]),
            helper.make_node("Loop", ["", "true", "length"], ["looped"], body=body),
            *_equal_logits("looped"),
        ]
    )


def graph_without_numbers_for_long_sentences() -> onnx.ModelProto:
    """Equal logits up to 40 tokens; NaN, the root of a negative number, beyond."""
    return _model(
        [
            helper.make_node("Sub", ["forty", "length"], ["left"]),
            helper.make_node("Sqrt", ["left"], ["root"]),
            *_equal_logits("root"),
        ]
    )


def graph_without_numbers() -> onnx.ModelProto:
    """NaN for every sentence."""
    return _model(
        [
            helper.make_node("Neg", ["length"], ["negative"]),
            helper.make_node("Sqrt", ["negative"], ["root"]),
            *_equal_logits("root"),
        ]
    )


def graph_with_a_file_beside_it() -> onnx.ModelProto:
    """Equal logits plus a row of numbers from the file `weights.bin`."""
    row = TensorProto(name="row", data_type=TensorProto.FLOAT, dims=[LABELS])
    row.data_location = TensorProto.EXTERNAL
    row.external_data.add(key="location", value="weights.bin")
    nodes = [*_equal_logits("length", "even"), helper.make_node("Add", ["even", "row"], ["logits"])]
    return _model(nodes, [row])


def _equal_logits(column: str, name: str = "logits") -> list[onnx.NodeProto]:
    """Logits (sentences, labels), all of a row the same, from a column (sentences, 1)."""
    return [helper.make_node("Mul", [column, "ones"], [name])]


def _model(
    nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto] | None = None
) -> onnx.ModelProto:
    """A graph of the right inputs and output; `length` is (sentences, 1), in tokens."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])
    constants = [
        helper.make_tensor("ones", TensorProto.FLOAT, [LABELS], [1.0] * LABELS),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("forty", TensorProto.FLOAT, [], [40.0]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
    ]
    first = [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask", "axis"], ["length"], keepdims=1),
    ]
    graph = helper.make_graph(
        [*first, *nodes], "graph", inputs, [output], [*constants, *(initializers or [])]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
