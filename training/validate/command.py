"""Check configurations, labelled files and bundles.

Checks files before they are used. With --deep it also finds labels that are
probably wrong and near-identical sentences.

example: rasd validate --deep mine.jsonl -o suspects.csv
"""

import argparse
from pathlib import Path

from serving.errors import InputError
from training.labelled.fields import FieldNames, add_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd validate`."""
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="labelled files, .yaml files (training configurations, label schemes) and bundles",
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="label scheme (default: configs/labels.yaml)"
    )
    parser.add_argument(
        "--deep", action="store_true", help="find probable label errors and near-duplicates"
    )
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", help="with --deep: write all findings as CSV"
    )
    parser.add_argument(
        "--encoder", help="with --deep: a folder or hub id (default: that of the default model)"
    )
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Print what each file holds and what is wrong with it; return 2 if anything is."""
    if not options.deep and (options.out or options.encoder):
        raise InputError("validate: -o and --encoder need --deep", "Add --deep.")
    from training.validate.run import label_scheme, validate

    fields = FieldNames.of(options)
    if not options.deep:
        return validate(options.files, options.labels, fields)
    from training.validate.suspects import validate_deep

    scheme = label_scheme(options.labels)
    validate_deep(options.files, scheme, options.out, options.encoder, fields)
    return 0
