"""The command line of `rasd average`."""

import argparse
import sys
from pathlib import Path


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "average",
        help="average the weights of several training runs",
        description="Average the weights of training runs of one encoder that differ in seed, "
        "learning rate or data. The mean is often more accurate than the best run, at no cost "
        "when it is used. `rasd export` makes a bundle of it.",
        epilog="example: rasd average runs/a/checkpoint runs/b/checkpoint --out runs/mean",
    )
    parser.add_argument(
        "checkpoints",
        type=Path,
        nargs="+",
        metavar="CHECKPOINT",
        help="`checkpoint` folders of two or more runs",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="output folder; an existing checkpoint there is replaced",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Average and print the checkpoint's folder."""
    from training.average.run import average

    out = average(options.checkpoints, options.out, command=["rasd", *sys.argv[1:]])
    sys.stdout.write(f"{out}\n")
    return 0
