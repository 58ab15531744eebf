"""Speed of an AraBERT-sized bundle, against transformers' pipeline and ONNX Runtime's int8.

    python benchmarks/arabert_size.py [--encoder FOLDER] [LABELLED.jsonl ...]

The model has AraBERT's shape and random weights, which take the same time as trained ones. FOLDER
contains AraBERT's config.json and tokenizer files; without it, substitutes are generated, with a
vocabulary learned from the sentences. All methods label the same sentences on the same cores, one
after the other. Only Classifier starts from raw text: the pipelines get normalised text, the
graphs get token ids.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import graphs
import plain
import torch
from transformers import (
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    pipeline,
)

from serving.classifier import Classifier
from serving.labels import LabelScheme
from serving.machine import available_cores, cpu_flags
from serving.onnx_model import OnnxModel, load_tokenizer, tokenize
from serving.provenance import Data, Provenance, Side
from serving.text.normalize import NORMALIZERS
from training.environment import environment
from training.export.run import export_bundle
from training.labelled.reading import fingerprint, read_labelled
from training.labelled.sentence import LabelledSentence
from training.model.checkpoint import CheckpointSettings, save_checkpoint
from training.model.classifier import SentenceClassifier

ROOT = Path(__file__).parent.parent
SCHEME = LabelScheme.read(ROOT / "configs" / "labels.yaml")
NORMALIZE = NORMALIZERS["arabert"].apply
MAX_LENGTH = 128
CALIBRATION = 128  # sentences that calibrate int8
BATCHES = (8, 32)


def main() -> None:
    """Print one table and int8's error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", default=[ROOT / "data" / "authored.jsonl"])
    parser.add_argument("--encoder", type=Path, help="AraBERT's config.json and tokenizer files")
    parser.add_argument("--sentences", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--layers", type=int, help="fewer layers, to try the script")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    read = read_labelled(options.files, SCHEME, NORMALIZE, conflicts="first").sentences
    sentences = read[: options.sentences]
    texts = [NORMALIZE(sentence.text) for sentence in sentences]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config, tokenizer = graphs.arabert_parts(
            options.encoder, [NORMALIZE(item.text) for item in read], folder, layers=options.layers
        )
        tokenizer.save_pretrained(folder)
        fast = load_tokenizer(folder / "tokenizer.json", max_length=MAX_LENGTH)
        ids = [item.ids for item in tokenize(fast, texts)]
        model = graphs.random_classifier(config)
        graphs.centre(model, ids[:100])
        classifier = Classifier.load(
            export(model, tokenizer, sentences, folder), threads=options.threads
        )
        found = graphs.write_graphs(model, folder, ids[:CALIBRATION])
        ways: dict[str, Callable[[], object]] = {
            "Classifier, from text": lambda: classifier.classify([s.text for s in sentences]),
            **pipelines("fp32", config, tokenizer, texts, torch.float32),
            **pipelines("bf16", config, tokenizer, texts, torch.bfloat16),
            **plain_graphs(found, ids, tokenizer.pad_token_id, options.threads),
        }
        tokens = sum(map(len, ids))
        print(
            f"{config.num_hidden_layers} layers of width {config.hidden_size}, "
            f"{config.vocab_size:,} pieces; {len(ids)} sentences of {tokens / len(ids):.1f} tokens"
        )
        print(f"{options.threads} threads; {' '.join(cpu_flags())}")
        print(f"median of {options.rounds} rounds\n")
        table(plain.measure(ways, options.rounds), tokens, len(ids))
        print("\nerror against fp32, in file order and batches of 32")
        full, *int8 = (
            plain.logits(
                plain.session(path, options.threads),
                ids,
                batch_size=32,
                padding_id=tokenizer.pad_token_id,
            )
            for path in (found.full, found.ours, found.stock)
        )
        for name, logits in zip(("our int8", "stock int8"), int8, strict=True):
            print(f"{name:16}{graphs.error(full, logits)}")


def plain_graphs(
    found: graphs.Graphs, ids: list[list[int]], padding_id: int, threads: int
) -> dict[str, Callable[[], object]]:
    """Return the graphs in ONNX Runtime's usual setting, and in the batches of Classifier."""
    ways: dict[str, Callable[[], object]] = {}
    for name, path in (("stock int8", found.stock), ("our int8", found.ours)):
        session = plain.session(path, threads)
        for size in BATCHES:
            ways[f"ONNX Runtime, {name}, batches of {size}"] = partial(
                plain.logits, session, ids, batch_size=size, padding_id=padding_id
            )
    for name, path in (("stock int8", found.stock), ("fp32", found.full)):
        batched = OnnxModel(path, padding_id=padding_id, threads=threads)
        ways[f"{name} in Classifier's batches"] = partial(batched.logits, ids)
    return ways


def pipelines(
    name: str,
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    precision: torch.dtype,
) -> dict[str, Callable[[], object]]:
    """Return transformers' pipeline, in file order, with its default batch of 1 and larger ones."""
    model = AutoModelForSequenceClassification.from_config(config, dtype=precision).eval()
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    return {
        f"pipeline, torch {name}, batches of {size}": partial(
            classify, list(texts), batch_size=size, truncation=True, max_length=MAX_LENGTH
        )
        for size in (1, *BATCHES)
    }


def export(
    model: SentenceClassifier,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Sequence[LabelledSentence],
    folder: Path,
) -> Path:
    """Make a bundle of `model`, calibrated on `sentences`, as `rasd train` does at its end."""
    side = Side(
        sentences=len(sentences),
        labels={name: sum(s.label == name for s in sentences) for name in SCHEME.names},
        fingerprint=fingerprint(sentences, NORMALIZE),
    )
    provenance = Provenance(
        command="python benchmarks/arabert_size.py",
        config={"encoder": "random", "encoder_credit": None, "data": {"train": [], "dev": []}},
        data=Data(train=side, held_out=side),
        kept="random weights",
        environment=environment(),
    )
    settings = CheckpointSettings(
        name="arabert-shaped",
        scheme=SCHEME,
        normalizer="arabert",
        max_length=MAX_LENGTH,
        dropout=0.0,
        coverage=0.8,
        min_agreement=0.0,  # with random weights every label is arbitrary
        max_logit_difference=1e-3,
        provenance=provenance,
    )
    (folder / "checkpoint").mkdir()
    checkpoint = save_checkpoint(
        folder / "checkpoint",
        model,
        settings,
        tokenizer=tokenizer,
        held_out=sentences,
        sample=[sentence.text for sentence in sentences[:CALIBRATION]],
    )
    return export_bundle(checkpoint, sentences, folder / "bundle")


def table(seconds: dict[str, float], tokens: int, sentences: int) -> None:
    """Print each method's speed and the speed-up of the first one, Classifier."""
    best, *_ = seconds.values()
    print(f"{'way':46}{'tokens/s':>10}{'sentences/s':>13}{'Classifier is':>15}")
    for name, took in seconds.items():
        print(f"{name:46}{tokens / took:10.0f}{sentences / took:13.1f}{took / best:14.2f}x")


if __name__ == "__main__":
    main()
