"""Measure a model on labelled sentences, alone or against another.

Prints metrics with 95 % bootstrap intervals, the weakest subgroups and, with
--compare, the difference from another model. Use sentences that neither model
was trained on. With --behaviour it runs behaviour tests instead: passes by
kind, and every case that fails.

example: rasd evaluate mine.jsonl --model fast --compare default --out report
"""

import argparse
from pathlib import Path

from serving.arguments import add_model
from serving.errors import InputError
from training.labelled.fields import FieldNames, add_options

# The name of the behaviour tests that are installed with this package.
_INCLUDED = Path("included")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd evaluate`."""
    files = "labelled files: .jsonl, .json (also from Label Studio), .csv, .tsv, .xlsx or .parquet"
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("labelled", type=Path, nargs="*", default=[], metavar="LABELLED", help=files)
    what.add_argument(
        "--behaviour",
        type=Path,
        nargs="?",
        const=_INCLUDED,
        metavar="FILE",
        help="behaviour tests, a .jsonl file (FILE left out: the included ones)",
    )
    add_model(parser)
    parser.add_argument(
        "--compare", type=Path, metavar="MODEL", help="another model, measured on the same files"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for report.html, metrics.json and the plots, or for behaviour.json; older "
        "files are replaced",
    )
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Print the tables and write the report."""
    from training.evaluate.behaviour import INCLUDED
    from training.evaluate.run import evaluate, evaluate_behaviour

    fields = FieldNames.of(options)
    if options.behaviour:
        if fields != FieldNames():
            raise InputError(
                "evaluate: the options that name fields do not apply to --behaviour",
                "Leave them out: its fields are id, kind, text, label, group and expect.",
            )
        tests = INCLUDED if options.behaviour == _INCLUDED else options.behaviour
        evaluate_behaviour(options.model, tests, options.out, options.compare)
        return 0
    evaluate(options.model, options.labelled, options.out, options.compare, fields)
    return 0
