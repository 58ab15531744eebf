"""Int8: close to single precision, and the same score for a sentence in any batch."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from transformers import AlbertConfig  # noqa: E402

from serving.onnx_model import OnnxModel  # noqa: E402
from training.export.int8 import quantize_int8  # noqa: E402
from training.export.onnx_graph import check_parity, export_onnx  # noqa: E402
from training.model.classifier import (  # noqa: E402
    SentenceClassifier,
    empty_encoder,
    load_encoder,
)
from training.model.from_bundle import graph_weights  # noqa: E402

RANDOM = np.random.default_rng(7)
CALIBRATION = [RANDOM.integers(8, 900, size).tolist() for size in range(5, 60)]
SENTENCES = st.lists(st.lists(st.integers(8, 900), min_size=1, max_size=60), min_size=1, max_size=9)


@pytest.fixture(scope="module")
def graphs(tiny_encoder, tmp_path_factory):
    """The torch model with its fp32 and int8 graphs."""
    folder = tmp_path_factory.mktemp("graphs")
    torch.manual_seed(0)
    model = SentenceClassifier(load_encoder(tiny_encoder), labels=5, dropout=0.1)
    torch.nn.init.normal_(model.head.weight)  # logits far enough apart to see a difference
    export_onnx(model, folder / "fp32.onnx")
    quantize_int8(folder / "fp32.onnx", folder / "int8.onnx", CALIBRATION)
    return (
        model,
        OnnxModel(folder / "fp32.onnx", padding_id=0, threads=2),
        {n: OnnxModel(folder / "int8.onnx", padding_id=0, threads=n) for n in (1, 2)},
    )


@settings(max_examples=30, deadline=None)
@given(SENTENCES)
def test_fp32_graph_computes_what_torch_does(graphs, sentences):
    model, fp32, _ = graphs
    assert check_parity(model, fp32, sentences, tolerance=1e-4) <= 1e-4


@settings(max_examples=60, deadline=None)
@given(SENTENCES)
def test_int8_scores_a_sentence_alone_and_in_any_batch_bit_for_bit(graphs, sentences):
    _, _, int8 = graphs
    together = int8[2].logits(sentences)
    alone = np.concatenate([int8[1].logits([ids]) for ids in sentences])
    assert (together == alone).all()


def test_int8_is_close_to_fp32(graphs):
    _, fp32, int8 = graphs
    random = np.random.default_rng(0)
    sentences = [random.integers(8, 900, size).tolist() for size in range(1, 61) for _ in range(5)]
    expected = fp32.logits(sentences)
    error = int8[2].logits(sentences) - expected
    assert np.sqrt((error**2).mean()) < 0.03 * expected.std()
    assert (expected.argmax(1) == int8[2].logits(sentences).argmax(1)).mean() > 0.95


def test_int8_weights_take_a_quarter_of_the_space(graphs, tmp_path):
    model, _, _ = graphs
    export_onnx(model, tmp_path / "fp32.onnx")
    quantize_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", CALIBRATION)
    sizes = [(tmp_path / name).stat().st_size for name in ("int8.onnx", "fp32.onnx")]
    assert sizes[0] < 0.55 * sizes[1]  # a tiny graph is half nodes and names


def test_layers_that_share_their_matrices_are_int8_too(tmp_path):
    """In ALBERT. A product left in single precision would also depend on the batch."""
    torch.manual_seed(0)
    config = AlbertConfig(
        vocab_size=900,
        embedding_size=16,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model = SentenceClassifier(empty_encoder(config), labels=5, dropout=0.1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.3)
    export_onnx(model, tmp_path / "fp32.onnx")
    quantize_int8(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", CALIBRATION)
    graph = onnx.load(tmp_path / "int8.onnx")
    matrices = [item for item in graph.graph.initializer if len(item.dims) == 2]
    assert all(item.data_type == onnx.TensorProto.INT8 for item in matrices if min(item.dims) > 5)
    full, int8 = (
        OnnxModel(tmp_path / name, padding_id=0, threads=1) for name in ("fp32.onnx", "int8.onnx")
    )
    expected = full.logits(CALIBRATION)
    error = int8.logits(CALIBRATION) - expected
    assert np.sqrt((error**2).mean()) < 0.1 * expected.std()
    weights = graph_weights(graph)
    assert weights.keys() == model.state_dict().keys()
    for name, values in model.state_dict().items():
        assert (weights[name] - values).norm() < 0.02 * values.norm(), name


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-30, 30, width=32), min_size=16, max_size=16), min_size=1, max_size=6
    )
)
def test_a_row_behind_gelu_is_never_off_by_more_than_half_a_step(gelu_graph, rows):
    values = np.array(rows, np.float32)
    gelu = torch.nn.functional.gelu(torch.from_numpy(values)).numpy()
    (found,) = gelu_graph.run(None, {"x": values})
    step = np.maximum(gelu.max(axis=1, keepdims=True) / 223, 0.1701 / 32)
    assert (np.abs(found - gelu) <= 0.5 * step + 1e-4).all()


@pytest.fixture(scope="module")
def gelu_graph(tmp_path_factory):
    """GELU and a product with the identity, quantised: what comes out are the rounded values."""
    folder = tmp_path_factory.mktemp("gelu")

    class Gelu(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.identity = torch.nn.Parameter(torch.eye(16))

        def forward(self, x):
            return torch.nn.functional.gelu(x) @ self.identity

    torch.onnx.export(
        Gelu(),
        (torch.zeros(2, 16),),
        str(folder / "fp32.onnx"),
        input_names=["x"],
        dynamic_axes={"x": {0: "rows"}},
        opset_version=17,
        dynamo=False,
    )
    quantize_int8(folder / "fp32.onnx", folder / "int8.onnx", [])
    return onnxruntime.InferenceSession(folder / "int8.onnx")
