"""Speed of each normaliser, and of AraBERT's own preprocessing, in sentences per second.

    python benchmarks/normalize.py

CPU time of one thread, the best of several interleaved rounds, so that other load on the machine
has little effect. Needs the dev extra (`arabert`).
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from arabert.preprocess import ArabertPreprocessor
from rich.console import Console
from rich.table import Table

from serving.text.normalize import NORMALIZERS

AUTHORED = Path(__file__).parents[1] / "data" / "authored.jsonl"
WORDS, SENTENCES, ROUNDS = 20, 3000, 7


def sentences() -> list[str]:
    """Return the text of the authored sentences in pieces of 20 words."""
    lines = AUTHORED.read_text(encoding="utf-8").splitlines()
    words = " ".join(json.loads(line)["text"] for line in lines).split()
    starts = range(0, len(words) - WORDS, WORDS)
    return [" ".join(words[start : start + WORDS]) for start in starts][:SENTENCES]


def seconds(function: Callable[[str], str], texts: list[str]) -> float:
    """Return the CPU seconds that one pass over `texts` takes."""
    start = time.process_time()
    for text in texts:
        function(text)
    return time.process_time() - start


def main() -> None:
    """Measure and print the table."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    texts = sentences()
    original = "arabert 1.0.1 (original)"
    rivals = {name: normalizer.apply for name, normalizer in NORMALIZERS.items()}
    rivals[original] = ArabertPreprocessor("bert-base-arabertv02").preprocess
    best = dict.fromkeys(rivals, float("inf"))
    for _ in range(ROUNDS):
        for name, function in rivals.items():
            best[name] = min(best[name], seconds(function, texts))
    table = Table(title=f"{len(texts):,} sentences of {WORDS} words, one thread")
    table.add_column("normaliser")
    table.add_column("sentences/s", justify="right")
    table.add_column("times the original", justify="right")
    for name, took in best.items():
        table.add_row(name, f"{len(texts) / took:,.0f}", f"{best[original] / took:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
