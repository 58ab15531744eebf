"""Make a bundle from the checkpoint of a training run.

Exports the checkpoint to ONNX, quantises and calibrates it, and writes the
bundle that `rasd classify` and `rasd serve` read.

example: rasd export runs/mine/checkpoint --out runs/mine/bundle
"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd export`."""
    source = "a `checkpoint` folder of `rasd train`"
    out = "folder for the bundle; an existing bundle there is replaced"
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help=source)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)


def run(options: argparse.Namespace) -> int:
    """Export and print the bundle's folder."""
    from training.export.run import export_folder

    sys.stdout.write(f"{export_folder(options.checkpoint, options.out)}\n")
    return 0
