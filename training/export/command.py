"""The command line of `rasd export`."""

import argparse
import sys
from pathlib import Path


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "export",
        help="make a bundle from the checkpoint of a training run",
        description="Export a checkpoint to ONNX, quantise and calibrate it, and write the bundle "
        "that `rasd classify` and `rasd serve` read.",
        epilog="example: rasd export runs/mine/checkpoint --out runs/mine/bundle",
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="a `checkpoint` folder of `rasd train`"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="output folder; an existing bundle there is replaced",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Export and print the bundle's folder."""
    from training.export.run import export_folder

    sys.stdout.write(f"{export_folder(options.checkpoint, options.out)}\n")
    return 0
