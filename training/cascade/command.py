"""Make a cascade of two bundles: the first answers, and the second where the first is unsure.

A small first model answers most sentences; a larger second one is asked for
the rest. The cascade is a bundle: `--model` and a registry take it like any
other. Its threshold is fitted, and its metrics measured, on labelled sentences
that neither model was trained on.

example: rasd cascade fast default --dev dev.jsonl --out runs/cascade
"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd cascade`."""
    bundle = "a bundle's folder, which is copied, or an included model, which is named only"
    parser.add_argument("first", type=Path, metavar="FIRST", help=bundle)
    parser.add_argument("second", type=Path, metavar="SECOND", help="the same, of the larger model")
    parser.add_argument(
        "--dev",
        type=Path,
        nargs="+",
        required=True,
        metavar="LABELLED",
        help="labelled files for the threshold and the metrics",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the cascade"
    )
    parser.add_argument(
        "--below",
        type=float,
        default=0.7,
        metavar="P",
        help="ask the second model where the first's probability is below P (default: 0.7)",
    )
    parser.add_argument(
        "--name", default="cascade", help="the bundle's name, in every record (default: cascade)"
    )


def run(options: argparse.Namespace) -> int:
    """Make the cascade and print its folder."""
    from training.cascade.run import make_cascade

    out = make_cascade(
        (options.first, options.second),
        options.dev,
        options.out,
        below=options.below,
        name=options.name,
        command=["rasd", *sys.argv[1:]],
    )
    sys.stdout.write(f"{out}\n")
    return 0
