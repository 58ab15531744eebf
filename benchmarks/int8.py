"""Speed and error of our int8, against fp32, ONNX Runtime's dynamic int8 and products alone.

    python benchmarks/int8.py [--encoder FOLDER] [--checkpoint FOLDER]

There are two models: one of AraBERT's shape with random weights (see `benchmarks/arabert_size.py`),
and the included encoder with a new head, or a checkpoint of `rasd train`. Speeds are in tokens per
second, with intra-op threads. GOP/s counts only the products with weights (two operations per
weight and token), over the time of the whole graph. The column MatMulInteger is the limit: what
that operator of ONNX Runtime reaches on these products alone, one after the other, at the same
number of rows.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import graphs
import numpy as np
import onnx
import onnxruntime
import plain
import torch
from onnx import TensorProto, helper, numpy_helper

from serving.labels import LabelScheme
from serving.machine import available_cores, cpu_flags
from serving.onnx_model import load_tokenizer, tokenize
from serving.text.normalize import NORMALIZERS
from training.export.onnx_graph import OPSET
from training.labelled.reading import read_labelled
from training.model.checkpoint import load_checkpoint
from training.model.classifier import SentenceClassifier, load_encoder

ROOT = Path(__file__).parent.parent
SHAPES = ((1, 32), (8, 32), (16, 48), (32, 64))  # sentences, tokens
ROUNDS = 5
WAYS = tuple(field.name for field in fields(graphs.Graphs))
MAX_LENGTH = 128
CALIBRATION = 128  # sentences that calibrate int8; its error is measured on the others


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure and sentences, as token ids, to measure its error on."""

    title: str
    model: SentenceClassifier
    sentences: list[list[int]]
    padding_id: int


def main() -> None:
    """Print two tables and the error of each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path, help="AraBERT's config.json and tokenizer files")
    parser.add_argument("--checkpoint", type=Path, help="in place of the shipped encoder")
    parser.add_argument("--layers", type=int, help="fewer layers of AraBERT, to try the script")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each timing (default: 0.5)")
    options = parser.parse_args()
    cores = available_cores()
    print(f"{' '.join(cpu_flags())}; median of {ROUNDS} rounds of {options.seconds} s")
    with tempfile.TemporaryDirectory() as scratch:
        for subject in subjects(options, Path(scratch)):
            found = graphs.write_graphs(
                subject.model, Path(scratch), subject.sentences[:CALIBRATION]
            )
            for threads in sorted({1, cores}, reverse=True):
                print(f"\n{subject.title}; {threads} threads")
                table(found, threads, options.seconds, subject.model.encoder.config.vocab_size)
            print_error(found, subject, cores)


def subjects(options: argparse.Namespace, scratch: Path) -> Iterator[Subject]:
    """Yield the model of AraBERT's shape, then that of the included encoder or checkpoint."""
    scheme = LabelScheme.read(ROOT / "configs" / "labels.yaml")
    read = read_labelled([ROOT / "data" / "authored.jsonl"], scheme, NORMALIZERS["light"].apply)
    texts = [sentence.text for sentence in read.sentences]

    def ids(folder: Path, normalizer: str) -> list[list[int]]:
        tokenizer = load_tokenizer(folder / "tokenizer.json", max_length=MAX_LENGTH)
        chosen = [NORMALIZERS[normalizer].apply(text) for text in texts[::5]]
        return [item.ids for item in tokenize(tokenizer, chosen)]

    arabic = [NORMALIZERS["arabert"].apply(text) for text in texts]
    config, tokenizer = graphs.arabert_parts(
        options.encoder, arabic, scratch, layers=options.layers
    )
    tokenizer.save_pretrained(scratch)
    model, sentences = graphs.random_classifier(config), ids(scratch, "arabert")
    graphs.centre(model, sentences[:100])
    title = f"AraBERT's shape: {config.num_hidden_layers} layers of width {config.hidden_size}"
    yield Subject(title, model, sentences, tokenizer.pad_token_id)

    if options.checkpoint:
        checkpoint = load_checkpoint(options.checkpoint)
        model, sentences = checkpoint.model, ids(options.checkpoint, checkpoint.settings.normalizer)
    else:
        torch.manual_seed(0)
        encoder = load_encoder(ROOT / "training" / "encoder")
        model = SentenceClassifier(encoder, labels=graphs.LABELS, dropout=0.0)
        sentences = ids(ROOT / "training" / "encoder", "light")
        graphs.centre(model, sentences[:100])
    config = model.encoder.config
    name = options.checkpoint or "training/encoder"
    title = f"{name}: {config.num_hidden_layers} layers of width {config.hidden_size}"
    yield Subject(title, model, sentences, config.pad_token_id)


def table(found: graphs.Graphs, threads: int, seconds: float, pieces: int) -> None:
    """Print the speeds of the three graphs at every shape, and their share of the limit."""
    sessions = {
        way: plain.session(path, threads) for way, path in zip(WAYS, astuple(found), strict=True)
    }
    products = weight_products(found.full)
    operations = 2 * sum(rows * columns * times for (rows, columns), times in products.items())
    random = np.random.default_rng(0)
    print(
        f"{'shape':10}{'fp32':>8}{'stock':>8}{'ours':>10}{'ours/stock':>16}"
        f"{'GOP/s':>8}{'MatMulInteger':>15}{'share':>8}"
    )
    ratios = []
    for batch, width in SHAPES:
        feed = {
            "input_ids": random.integers(10, pieces, (batch, width)),
            "attention_mask": np.ones((batch, width), np.int64),
        }
        calls: dict[object, Callable[[], object]] = {
            way: lambda session=session, feed=feed: session.run(["logits"], feed)
            for way, session in sessions.items()
        }
        for shape in products:
            calls[shape] = bare_product(*shape, rows=batch * width, threads=threads)
        took = times(calls, seconds)
        speeds = {way: batch * width / took[way] for way in WAYS}
        limit = sum(took[shape] * count for shape, count in products.items())
        ratios.append(speeds["ours"] / speeds["stock"])
        reached = operations * speeds["ours"] / 1e9
        possible = operations * batch * width / limit / 1e9
        print(
            f"{f'{batch} x {width}':10}{speeds['full']:8.0f}{speeds['stock']:8.0f}"
            f"{speeds['ours']:10.0f}{ratios[-1]:16.2f}"
            f"{reached:8.0f}{possible:15.0f}{reached / possible:8.0%}"
        )
    print(f"geometric mean of ours/stock: {statistics.geometric_mean(ratios):.2f}")


def times(calls: Mapping[object, Callable[[], object]], seconds: float) -> dict[object, float]:
    """Return each call's median seconds over interleaved rounds, after a warm-up round."""
    taken: dict[object, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 1):
        for name, call in calls.items():
            count, started = 0, time.perf_counter()
            while count == 0 or time.perf_counter() < started + seconds:
                call()
                count += 1
            if number:
                taken[name].append((time.perf_counter() - started) / count)
    return {name: statistics.median(values) for name, values in taken.items()}


def weight_products(path: Path) -> Counter[tuple[int, int]]:
    """Count the shapes (rows, columns) of the weights that a graph multiplies activations by."""
    graph = onnx.load(path).graph
    weights = {item.name: tuple(item.dims) for item in graph.initializer if len(item.dims) == 2}
    return Counter(
        weights[node.input[1]]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in weights
    )


def bare_product(inner: int, columns: int, *, rows: int, threads: int) -> Callable[[], object]:
    """Return a call of MatMulInteger, (rows, inner) uint8 by (inner, columns) int8, and no more."""
    random = np.random.default_rng(0)
    weight = random.integers(-127, 128, (inner, columns)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weight", "zero_point"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [rows, columns])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.uint8(128), "zero_point"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    feed = {"x": random.integers(0, 256, (rows, inner)).astype(np.uint8)}
    return lambda: session.run(None, feed)


def print_error(found: graphs.Graphs, subject: Subject, threads: int) -> None:
    """Print how far both int8 graphs are from fp32 on the subject's sentences."""

    def logits(path: Path, sentences: Sequence[Sequence[int]]) -> np.ndarray:
        session = plain.session(path, threads)
        return plain.logits(session, sentences, batch_size=32, padding_id=subject.padding_id)

    others = subject.sentences[CALIBRATION:]
    full = logits(found.full, others)
    print(f"error against fp32 on {len(full)} sentences, in batches of 32")
    for name, path in (("ours", found.ours), ("stock", found.stock)):
        print(f"{name:10}{graphs.error(full, logits(path, others))}")


if __name__ == "__main__":
    main()
