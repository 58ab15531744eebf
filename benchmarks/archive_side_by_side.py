"""`rasd classify` beside the usual ways to label an archive: same sentences, cores and run.

    python benchmarks/archive_side_by_side.py CHECKPOINT [--sentences 300] [--rounds 3]

CHECKPOINT is a folder that `rasd train` left: the default model's network in PyTorch, for
`transformers.pipeline(batch_size=32)`. The other ways run the int8 graph of the default model in
plain ONNX Runtime, in file order and padded batches: `datasets.map`, and Ray Data's `map_batches`.
Every way reads the sentences from a JSON Lines file and writes labels to one, in a warm process;
`rasd classify` runs without its cache. Rounds are interleaved; medians are printed. Needs the
training extra and `pip install "ray[data]" pandas`.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain

from serving.bundle import Bundle, shipped_model
from serving.cli import main as rasd
from serving.machine import available_cores, cpu_flags
from serving.onnx_model import load_tokenizer, tokenize
from serving.text.normalize import NORMALIZERS

BATCH = 32
CORES = available_cores()
AUTHORED = Path(__file__).parents[1] / "data" / "authored.jsonl"


class PlainModel:
    """The default model's graph without our batching: normalise, tokenise, pad, run."""

    def __init__(self, threads: int = CORES) -> None:
        bundle = Bundle.load(shipped_model())
        manifest = bundle.manifest
        self.normalize = NORMALIZERS[manifest.normalizer.name].apply
        self.tokenizer = load_tokenizer(
            bundle.folder / "tokenizer.json", max_length=manifest.max_length
        )
        self.session = plain.session(bundle.folder / "model.onnx", threads)
        self.names = bundle.scheme.names
        self.padding_id = bundle.padding_id

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Return the labels of a batch of texts, as `datasets` and Ray Data want them."""
        texts = [self.normalize(text) for text in batch["text"]]
        ids = [item.ids for item in tokenize(self.tokenizer, texts)]
        scores = plain.logits(self.session, ids, batch_size=BATCH, padding_id=self.padding_id)
        return {"text": list(batch["text"]), "label": [self.names[i] for i in scores.argmax(1)]}


def our_command(source: Path, folder: Path) -> Callable[[], object]:
    """Return `rasd classify` as it is, but for the cache; the model is loaded in every round."""
    output = folder / "rasd.jsonl"
    words = ["classify", str(source), "--unit", "sentence", "-o", str(output), "--cache", "0"]
    words += ["--model", "default"]
    return lambda: rasd(words)


def transformers_pipeline(source: Path, folder: Path, *, checkpoint: Path) -> Callable[[], object]:
    """Return the way of transformers' documentation; its untrained head costs what ours does."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging, pipeline

    logging.set_verbosity_error()
    torch.set_num_threads(CORES)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=5)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    normalize = PlainModel().normalize

    def run() -> None:
        with source.open(encoding="utf-8") as lines, (folder / "pipeline.jsonl").open("w") as out:
            texts = (normalize(json.loads(line)["text"]) for line in lines)
            for answer in classify(texts, batch_size=BATCH, truncation=True, max_length=128):
                out.write(json.dumps(answer) + "\n")

    return run


def datasets_map(source: Path, folder: Path) -> Callable[[], object]:
    """Return `datasets.map` with plain ONNX Runtime."""
    import datasets

    datasets.disable_progress_bars()
    model = PlainModel()

    def run() -> None:
        table = datasets.load_dataset("json", data_files=str(source), split="train")
        labelled = table.select_columns(["text"]).map(
            model, batched=True, batch_size=BATCH, load_from_cache_file=False, new_fingerprint="x"
        )
        labelled.to_json(folder / "datasets.jsonl", force_ascii=False)

    return run


def ray_data(source: Path, folder: Path) -> Callable[[], object]:
    """Return Ray Data's `map_batches` with a model in each of two actors of one core."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    # Twice the cores: the models' actors hold one each, and reading and writing need some too.
    ray.init(
        num_cpus=2 * CORES, include_dashboard=False, log_to_driver=False, logging_level="error"
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    target = folder / "ray"

    def run() -> None:
        shutil.rmtree(target, ignore_errors=True)
        rows = ray.data.read_json(str(source)).select_columns(["text"]).repartition(CORES * 4)
        rows.map_batches(
            PlainModel,
            fn_constructor_args=(1,),
            batch_size=BATCH,
            compute=ray.data.ActorPoolStrategy(size=CORES),
            num_cpus=1,
        ).write_json(str(target))

    return run


def main() -> None:
    """Time every way in turn and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "in.jsonl"
        lines = AUTHORED.read_text(encoding="utf-8").splitlines()[: options.sentences]
        source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        ways = {
            "rasd classify": our_command(source, folder),
            "transformers.pipeline": transformers_pipeline(
                source, folder, checkpoint=options.checkpoint
            ),
            "datasets.map, ONNX Runtime": datasets_map(source, folder),
            "Ray Data map_batches, ONNX Runtime": ray_data(source, folder),
        }
        print(f"ready: {len(lines)} sentences, {CORES} cores; {' '.join(cpu_flags())}", flush=True)
        seconds = plain.measure(ways, options.rounds)
    ours = seconds["rasd classify"]
    print(f"\n{'way':38}{'sentences/s':>12}{'rasd classify is':>18}")
    for name, took in seconds.items():
        print(f"{name:38}{len(lines) / took:12.0f}{took / ours:17.2f}x")


if __name__ == "__main__":
    main()
