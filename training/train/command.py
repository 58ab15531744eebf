"""Fine-tune a model on labelled sentences.

The run ends with a bundle, calibrated and ready to use. A killed run resumes
when the same command is repeated; a finished one is never overwritten.

example: rasd train configs/compact.yaml --set 'data.train=[mine.jsonl]' --out runs/mine
"""

import argparse
import os
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd train`."""
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="a configuration such as configs/compact.yaml"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key, as in --set optimisation.epochs=1; paths are relative to the "
        "current folder; may be repeated",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="output folder (default: the file's `output`)"
    )


def run(options: argparse.Namespace) -> int:
    """Train and print the bundle's folder."""
    from training.config import load_config

    config = load_config(options.config, options.set)
    from training.train.run import train

    bundle = train(config, options.out or config.output, command=["rasd", *sys.argv[1:]])
    if os.environ.get("RANK", "0") == "0":  # under a launcher only the main process prints
        sys.stdout.write(f"{bundle}\n")
    return 0
