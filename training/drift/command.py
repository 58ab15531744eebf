"""Compare an archive with what the model was measured on.

Compares label mix, confidence, share of uncertain sentences, unknown tokens
and token frequencies with the reference that `rasd export` stored in the
bundle, or with the sentences of --reference, and says whether retraining is
due. The exit code is 0 either way.

ARCHIVE is what `rasd classify` reads, or the records that it wrote.

example: rasd drift archive/ --model runs/mine/bundle
"""

import argparse

from serving.arguments import add_model, add_reading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd drift`."""
    add_reading(parser)
    add_model(parser)
    parser.add_argument(
        "--reference",
        metavar="FILE",
        help="compare with this file or folder, labelled or not, read as ARCHIVE is "
        "(default: the reference in the bundle)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    """Print what has changed and whether retraining is due."""
    from training.drift.run import drift

    drift(options)
    return 0
