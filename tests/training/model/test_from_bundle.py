"""A bundle back to a checkpoint: the same weights up to int8's rounding, and the same labels."""

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from transformers import ModernBertConfig  # noqa: E402

from serving.bundle import sha256, shipped_model  # noqa: E402
from serving.classifier import Classifier  # noqa: E402
from serving.errors import InputError  # noqa: E402
from serving.text.normalize import NORMALIZERS  # noqa: E402
from training.export.int8 import quantize_int8  # noqa: E402
from training.export.onnx_graph import export_onnx  # noqa: E402
from training.export.run import export_folder  # noqa: E402
from training.labelled.reading import read_labelled  # noqa: E402
from training.model.checkpoint import HELD_OUT  # noqa: E402
from training.model.classifier import (  # noqa: E402
    SentenceClassifier,
    empty_encoder,
    load_encoder,
)
from training.model.from_bundle import graph_weights, restore_checkpoint  # noqa: E402
from training.train.teachers import load_teacher  # noqa: E402

RANDOM = np.random.default_rng(7)
CALIBRATION = [RANDOM.integers(8, 900, size).tolist() for size in range(5, 60)]


@pytest.fixture(scope="module")
def model(tiny_encoder):
    """A model in which no two weights are alike, as in every trained model."""
    torch.manual_seed(0)
    model = SentenceClassifier(load_encoder(tiny_encoder), labels=5, dropout=0.1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.3)
    return model


def test_a_graph_in_single_precision_gives_back_every_weight_exactly(model, tmp_path):
    export_onnx(model, tmp_path / "fp32.onnx")
    weights = graph_weights(onnx.load(tmp_path / "fp32.onnx"))
    assert weights.keys() == model.state_dict().keys()
    for name, values in model.state_dict().items():
        assert torch.equal(weights[name], values), name


@pytest.mark.parametrize("calibration", [CALIBRATION, []], ids=["by channel", "by row"])
def test_an_encoder_whose_products_have_no_bias_is_restored(calibration, tmp_path):
    config = ModernBertConfig(
        vocab_size=900,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = SentenceClassifier(empty_encoder(config), labels=5, dropout=0.1)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.5)
    export_onnx(model, tmp_path / "fp32.onnx")
    quantize_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", calibration)
    weights = graph_weights(onnx.load(tmp_path / "int8.onnx"))
    assert weights.keys() == model.state_dict().keys()
    for name, values in model.state_dict().items():
        assert (weights[name] - values).norm() < 0.02 * values.norm(), name


@pytest.mark.parametrize("calibration", [CALIBRATION, []], ids=["by channel", "by row"])
def test_an_int8_graph_gives_back_every_weight_up_to_its_rounding(model, calibration, tmp_path):
    export_onnx(model, tmp_path / "fp32.onnx")
    quantize_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", calibration)
    weights = graph_weights(onnx.load(tmp_path / "int8.onnx"))
    assert weights.keys() == model.state_dict().keys()
    rounded = {}
    for name, values in model.state_dict().items():
        error = (weights[name] - values).norm() / values.norm()
        if error:
            rounded[name] = float(error)
    # Words, positions and six matrices in each of two layers; vectors and the head are not rounded.
    assert len(rounded) == 2 + 2 * 6
    assert max(rounded.values()) < 0.03


@pytest.mark.parametrize("name", ["default", "fast"])
def test_an_included_model_gives_the_same_labels_once_it_is_restored(name, authored, tmp_path):
    texts = [row["text"] for row in authored[::40]]
    teacher = load_teacher(restore_checkpoint(shipped_model(name), tmp_path / "checkpoint"))
    found = [teacher.labels[best] for best in teacher.answer(texts).argmax(axis=1)]
    expected = [answer.label for answer in Classifier.load(shipped_model(name)).classify(texts)]
    assert np.mean([one == other for one, other in zip(found, expected, strict=True)]) >= 0.99


def test_a_restored_checkpoint_is_exported_to_a_bundle_that_answers_alike(tiny_bundle, tmp_path):
    first = Classifier.load(tiny_bundle)
    normalize = NORMALIZERS["light"].apply
    known = tiny_bundle.parent / "checkpoint" / HELD_OUT
    held_out = read_labelled([known], first.bundle.scheme, normalize).sentences
    texts = [sentence.text for sentence in held_out]
    restored = restore_checkpoint(
        tiny_bundle, tmp_path / "checkpoint", held_out=held_out, sample=texts[:50]
    )
    second = Classifier.load(export_folder(restored, tmp_path / "bundle"))
    same = [
        one.label == other.label
        for one, other in zip(first.classify(texts), second.classify(texts), strict=True)
    ]
    assert np.mean(same) >= 0.98
    origin = second.bundle.manifest.provenance.restored_from
    assert origin == first.bundle.manifest.model
    assert f"int8 weights of the bundle `{origin}`" in (tmp_path / "bundle/README.md").read_text()


def test_a_folder_that_is_not_a_bundle_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(InputError, match="not a bundle"):
        restore_checkpoint(tmp_path, tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def test_a_bundle_that_does_not_say_how_it_was_trained_is_refused(tiny_bundle, tmp_path):
    copy = _copy(tiny_bundle, tmp_path)
    manifest = json.loads((copy / "bundle.json").read_text())
    del manifest["provenance"]["config"]["abstention"]
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="with which configuration it was trained"):
        restore_checkpoint(copy, tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def test_a_graph_that_lacks_a_weight_is_refused_by_the_weights_name(tiny_bundle, tmp_path):
    copy = _copy(tiny_bundle, tmp_path)
    graph = onnx.load(copy / "model.onnx")
    for item in graph.graph.initializer:
        if item.name == "head.weight":
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item), "head.renamed"))
    for node in graph.graph.node:
        for place, name in enumerate(node.input):
            if name == "head.weight":
                node.input[place] = "head.renamed"
    onnx.save(graph, copy / "model.onnx")
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["files"]["model.onnx"] = sha256(copy / "model.onnx")
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"head\.weight"):
        restore_checkpoint(copy, tmp_path / "checkpoint")
    assert not (tmp_path / "checkpoint").exists()


def _copy(bundle: Path, folder: Path) -> Path:
    return Path(shutil.copytree(bundle, folder / "copy"))
