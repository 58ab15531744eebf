"""One score for one sentence, bit for bit: AraBERT's real widths, and the model that ships.

The widths decide which of ONNX Runtime's kernels run and how they cut their work into blocks, so
the tiny encoder of the other tests would prove nothing here; two layers and random weights do.
"""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.bundle import Bundle, shipped_model
from serving.onnx_model import OnnxModel

LONGEST = 128
MOST_PADDING = 40


@dataclass(frozen=True, slots=True)
class Graph:
    """An int8 graph and what its token ids may be; `session[n]` has n threads inside."""

    path: Path
    pieces: int
    padding_id: int
    session: dict[int, onnxruntime.InferenceSession]


@pytest.fixture(scope="module")
def arabert(tiny_encoder, tmp_path_factory) -> tuple[Path, int, int]:
    """A graph of AraBERT's architecture and widths, with a tokenizer of its form."""
    torch = pytest.importorskip("torch")
    from transformers import AutoConfig

    from training.export.int8 import quantize_int8
    from training.export.onnx_graph import export_onnx
    from training.model.classifier import SentenceClassifier, empty_encoder

    config = AutoConfig.from_pretrained(tiny_encoder)
    config.update(
        {
            "hidden_size": 768,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "max_position_embeddings": 512,
        }
    )
    torch.manual_seed(0)
    model = SentenceClassifier(empty_encoder(config), labels=5, dropout=0.1)
    folder = tmp_path_factory.mktemp("arabert-shaped")
    export_onnx(model, folder / "fp32.onnx")
    calibration = np.random.default_rng(0).integers(8, 900, (20, 40)).tolist()
    quantize_int8(folder / "fp32.onnx", folder / "int8.onnx", calibration)
    return folder / "int8.onnx", config.vocab_size, config.pad_token_id


@pytest.fixture(scope="module", params=["arabert", "shipped"])
def graph(request) -> Graph:
    if request.param == "arabert":
        path, pieces, padding_id = request.getfixturevalue("arabert")
    else:
        bundle = Bundle.load(shipped_model())
        path, padding_id = bundle.folder / "model.onnx", bundle.padding_id
        pieces = 20_000
    sessions = {}
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        sessions[threads] = onnxruntime.InferenceSession(str(path), options)
    return Graph(path, pieces, padding_id, sessions)


def score(graph: Graph, sentences: list[list[int]], *, padding: int, threads: int) -> np.ndarray:
    """Logits of one batch, `padding` columns wider than its longest sentence."""
    width = max(map(len, sentences)) + padding
    ids = np.full((len(sentences), width), graph.padding_id, np.int64)
    mask = np.zeros_like(ids)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = sentence
        mask[row, : len(sentence)] = 1
    feed = {"input_ids": ids, "attention_mask": mask}
    return graph.session[threads].run(["logits"], feed)[0]


def some_sentences(graph: Graph, seed: int, lengths: list[int]) -> list[list[int]]:
    random = np.random.default_rng(seed)
    return [random.integers(8, graph.pieces, length).tolist() for length in lengths]


lengths = st.lists(st.integers(1, LONGEST), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=lengths,
    padding=st.integers(0, MOST_PADDING),
    threads=st.sampled_from([1, 2]),
)
def test_alone_in_any_batch_at_any_padding_on_one_thread_or_two(
    graph, seed, lengths, padding, threads
):
    sentences = some_sentences(graph, seed, lengths)
    alone = [score(graph, [ids], padding=0, threads=1) for ids in sentences]
    together = score(graph, sentences, padding=padding, threads=threads)
    assert (together == np.concatenate(alone)).all()
    backwards = score(graph, sentences[::-1], padding=0, threads=threads)
    assert (backwards[::-1] == together).all()


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(1, LONGEST),
    padding=st.integers(1, MOST_PADDING),
)
def test_a_sentence_alone_at_any_padding(graph, seed, length, padding):
    (ids,) = some_sentences(graph, seed, [length])
    narrow = score(graph, [ids], padding=0, threads=1)
    for threads in (1, 2):
        assert (score(graph, [ids], padding=padding, threads=threads) == narrow).all()


CHILD = """\
import hashlib, json, sys
from pathlib import Path
from serving.onnx_model import OnnxModel

path, padding_id, threads = sys.argv[1:]
model = OnnxModel(Path(path), padding_id=int(padding_id), threads=int(threads))
print(hashlib.sha256(model.logits(json.load(sys.stdin)).tobytes()).hexdigest())
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_between_processes(graph, threads):
    """As serving runs it: micro-batches by length, several at a time."""
    random = np.random.default_rng(5)
    sentences = some_sentences(graph, 6, random.integers(1, LONGEST, 40).tolist())
    ours = OnnxModel(graph.path, padding_id=graph.padding_id, threads=1).logits(sentences)
    run = subprocess.run(
        [sys.executable, "-c", CHILD, graph.path, str(graph.padding_id), str(threads)],
        input=str(sentences),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == hashlib.sha256(ours.tobytes()).hexdigest()
