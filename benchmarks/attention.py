"""How much faster a CPU trains with plain attention than with PyTorch's fused one.

    python benchmarks/attention.py [CHECKPOINT]

A step is a forward and a backward pass over 32 sentences; the two take turns. Without a checkpoint
the included encoder is used.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from training.config import SHIPPED_ENCODER
from training.environment import environment
from training.model.checkpoint import load_checkpoint
from training.model.classifier import SentenceClassifier, load_encoder

BATCH = 32
ROUNDS = 5


def main() -> None:
    """Print seconds per step of both, by precision and length, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, nargs="?", metavar="CHECKPOINT")
    options = parser.parse_args()
    if options.checkpoint:
        model = load_checkpoint(options.checkpoint).model
    else:
        model = SentenceClassifier(load_encoder(SHIPPED_ENCODER), labels=5, dropout=0.1)
    model.train()
    print(environment())
    print("| precision | tokens per sentence | fused (s) | plain (s) | ratio |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for precision in ("bf16", "fp32"):
        for tokens in (56, 128):
            seconds: dict[str, list[float]] = {"sdpa": [], "eager": []}
            for measured in (False, *[True] * ROUNDS):
                for kind, found in seconds.items():
                    model.encoder.set_attn_implementation(kind)
                    taken = step(model, tokens, half_precision=precision == "bf16")
                    found.extend([taken] if measured else [])
            fused, plain = (statistics.median(found) for found in seconds.values())
            cells = f"{tokens} | {fused:.2f} | {plain:.2f} | {fused / plain:.2f}"
            print(f"| {precision} | {cells} |", flush=True)


def step(model: SentenceClassifier, tokens: int, *, half_precision: bool) -> float:
    """Return the seconds of one forward and backward pass."""
    ids = torch.randint(5, model.encoder.config.vocab_size, (BATCH, tokens))
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=half_precision):
        loss = model(ids, torch.ones_like(ids)).float().logsumexp(-1).mean()
    loss.backward()
    model.zero_grad()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
