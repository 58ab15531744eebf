"""Find the sentences of an archive that are most worth labelling.

Picks sentences that the model is uncertain about, as many of each predicted
label, on different subjects, no two near-identical. The suffix of -o decides
the format: .json (tasks for Label Studio with the model's label as a
prediction; the labelling configuration is written beside them as .xml), .csv
or .jsonl (fill in the column `label`).

ARCHIVE is what `rasd classify` reads, or the records that it wrote.

example: rasd suggest archive/ -n 200 -o tasks.json
"""

import argparse
from pathlib import Path

from serving.arguments import add_model, add_reading, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd suggest`."""
    add_reading(parser)
    parser.add_argument(
        "-n", "--count", type=positive, default=200, metavar="N", help="sentences (default: 200)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="TASKS", help="file to write"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="random seed of the clusters of subjects (default: 0)",
    )
    add_model(parser)


def run(options: argparse.Namespace) -> int:
    """Write the tasks and print how many there are of each predicted label."""
    from training.suggest.run import suggest

    suggest(options)
    return 0
