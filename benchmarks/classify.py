"""Speed of the default model: sentences per second, simpler methods, and cold start.

    python benchmarks/classify.py [LABELLED.jsonl ...]

All methods score the same sentences with the same graph and threads, one after the other.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import plain

from serving.bundle import Bundle, shipped_model
from serving.classifier import Classifier
from serving.machine import available_cores, cpu_flags
from serving.onnx_model import load_tokenizer, tokenize
from serving.text.normalize import NORMALIZERS

ROOT = Path(__file__).parent.parent
ROUNDS = 3
COLD_STARTS = 5


def main() -> None:
    """Print one table and the cold start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", default=[ROOT / "data" / "authored.jsonl"])
    parser.add_argument("--threads", type=int, default=available_cores())
    options = parser.parse_args()
    texts = [json.loads(line)["text"] for file in options.files for line in file.open()][:1000]
    bundle = Bundle.load(shipped_model())
    normalize = NORMALIZERS[bundle.manifest.normalizer.name].apply
    tokenizer = load_tokenizer(
        bundle.folder / "tokenizer.json", max_length=bundle.manifest.max_length
    )
    ids = [item.ids for item in tokenize(tokenizer, [normalize(text) for text in texts])]
    session = plain.session(bundle.folder / "model.onnx", options.threads)
    padding_id = bundle.padding_id
    classifier = Classifier.load(threads=options.threads)
    fast, cascade = (
        Classifier.load(shipped_model(name), threads=options.threads)
        for name in ("fast", "cascade")
    )
    ways: dict[str, Callable[[], object]] = {
        "Classifier (text to labels)": lambda: classifier.classify(texts),
        "the same with the model `fast`": lambda: fast.classify(texts),
        "the same with the model `cascade`": lambda: cascade.classify(texts),
        "file order, padded batches of 32": lambda: plain.logits(
            session, ids, batch_size=32, padding_id=padding_id
        ),
        "one sentence at a time": lambda: plain.logits(
            session, ids, batch_size=1, padding_id=padding_id
        ),
    }
    seconds = plain.measure(ways, ROUNDS)
    best, *_ = seconds.values()
    print(
        f"{classifier.model}, {len(texts)} sentences of {np.mean([len(i) for i in ids]):.1f} tokens"
    )
    print(f"{options.threads} threads; {' '.join(cpu_flags())}; median of {ROUNDS} rounds\n")
    print(f"{'way':36}{'sentences/s':>12}{'Classifier is':>15}")
    for name, took in seconds.items():
        print(f"{name:36}{len(texts) / took:12.0f}{took / best:14.2f}x")
    print(f"\ncold start of `rasd classify` on one sentence: {cold_start():.2f} s (median)")


def cold_start() -> float:
    """Return the median seconds of whole `rasd classify` processes on one sentence."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.txt"
        path.write_text("تبنت الجماعة الهجوم على الثكنة.\n", encoding="utf-8")
        seconds = []
        for _ in range(COLD_STARTS):
            started = time.perf_counter()
            subprocess.run(
                [Path(sys.executable).with_name("rasd"), "classify", path],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
