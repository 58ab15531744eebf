"""Average the weights of several training runs.

The runs start from one encoder and differ in seed, learning rate or data. The
mean is often more accurate than the best run and costs nothing extra to use.
`rasd export` makes a bundle of it.

example: rasd average runs/a/checkpoint runs/b/checkpoint --out runs/mean
"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd average`."""
    sources = "two or more `checkpoint` folders"
    out = "folder for the mean; an existing checkpoint there is replaced"
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help=sources)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)


def run(options: argparse.Namespace) -> int:
    """Average and print the checkpoint's folder."""
    from training.average.run import average

    out = average(options.checkpoints, options.out, command=["rasd", *sys.argv[1:]])
    sys.stdout.write(f"{out}\n")
    return 0
