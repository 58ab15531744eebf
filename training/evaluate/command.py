"""Measure a model on labelled sentences, alone or against another.

Prints metrics with 95 % bootstrap intervals, the weakest subgroups and, with
--compare, the difference to another model. Use sentences that neither model
was trained on.

example: rasd evaluate mine.jsonl --model fast --compare default --out report
"""

import argparse
from pathlib import Path

from training.labelled.fields import FieldNames, add_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd evaluate`."""
    files = "labelled files: .jsonl, .json (also from Label Studio), .csv or .tsv"
    parser.add_argument("labelled", type=Path, nargs="+", metavar="LABELLED", help=files)
    parser.add_argument(
        "--model", type=Path, help="default (used if omitted), fast, or the folder of a bundle"
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
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Print the tables and write the report."""
    from training.evaluate.run import evaluate

    fields = FieldNames.of(options)
    evaluate(options.model, options.labelled, options.out, options.compare, fields)
    return 0
