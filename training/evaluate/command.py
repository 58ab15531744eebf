"""The command line of `rasd evaluate`."""

import argparse
from pathlib import Path


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure a model on labelled sentences, alone or against another",
        description="Print metrics with 95 % bootstrap intervals, the weakest subgroups and, with "
        "--compare, the difference to another model. Use sentences that neither was trained on.",
        epilog="example: rasd evaluate mine.jsonl --model fast --compare default --out report",
    )
    parser.add_argument(
        "labelled",
        type=Path,
        nargs="+",
        metavar="LABELLED",
        help="labelled files: .jsonl, .csv or Label Studio .json",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="default (used if omitted), fast, or the folder of a bundle",
    )
    parser.add_argument(
        "--compare", type=Path, metavar="MODEL", help="another model, measured on the same files"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for report.html, metrics.json and the plots; older ones are replaced",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the tables and write the report."""
    from training.evaluate.run import evaluate

    evaluate(options.model, options.labelled, options.out, compare=options.compare)
    return 0
