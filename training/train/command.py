"""The command line of `rasd train`."""

import argparse
import os
import sys
from pathlib import Path


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune a model on labelled sentences",
        description="Fine-tune, calibrate and export a model. A killed run resumes when the same "
        "command is repeated; a finished one is never overwritten.",
        epilog="example: rasd train configs/compact.yaml --set 'data.train=[mine.jsonl]' "
        "--out runs/mine",
    )
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="a YAML file such as configs/compact.yaml"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the file, as in --set optimisation.epochs=1; paths are relative "
        "to the current folder; repeat it for further keys",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="output folder (default: the file's `output`)"
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Train and print the bundle's folder."""
    from training.config import load_config

    config = load_config(options.config, options.set)
    from training.train.run import train

    bundle = train(config, options.out or config.output, command=["rasd", *sys.argv[1:]])
    if os.environ.get("RANK", "0") == "0":  # under a launcher only the main process prints
        sys.stdout.write(f"{bundle}\n")
    return 0
