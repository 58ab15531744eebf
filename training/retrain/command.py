"""Train on new labels; promote the result only if it is not worse.

A challenger is trained from the weights of the champion, the model that is
served, on the new labels and a part of the base data. Both are compared on
held-out sentences, and a gate decides. Exit code 0: the challenger passed, and
with --registry it is current. 3: the champion stays. A report says why. A
killed run continues when the same command is repeated.

example: rasd retrain corrections.jsonl --registry registry --quick
"""

import argparse
import sys
from pathlib import Path

from training.labelled.fields import FieldNames, add_options

_KEPT = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd retrain`."""
    parser.add_argument(
        "labelled",
        type=Path,
        nargs="*",
        metavar="LABELLED",
        help="new labelled files, as annotation tools export them",
    )
    parser.add_argument(
        "--from-feedback",
        metavar="URL",
        help="also the corrections in a service's database: sqlite:///feedback.db or "
        "postgresql://USER@HOST/DATABASE",
    )
    parser.add_argument(
        "--registry",
        type=Path,
        metavar="DIR",
        help="a registry, whose current version is the champion (default: the included model; "
        "the challenger then stays in its folder)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("configs/retrain.yaml"),
        metavar="FILE",
        help="settings of the retraining (default: configs/retrain.yaml)",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="train only the upper layers, for a few hundred corrections on an ordinary computer",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="read and count everything, but train nothing"
    )
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Retrain; return 0 if the challenger passed the gate, else 3."""
    from serving.errors import InputError
    from training.retrain.config import load_retrain_config

    if not options.labelled and not options.from_feedback:
        raise InputError(
            "there are no new labels", "Name labelled files, or a database with --from-feedback."
        )
    config = load_retrain_config(options.config)
    from training.retrain.run import Request, retrain

    request = Request(
        labelled=tuple(options.labelled),
        feedback=options.from_feedback,
        registry=options.registry,
        quick=options.quick,
        dry_run=options.dry_run,
        fields=FieldNames.of(options),
    )
    passed = retrain(config, request, command=["rasd", *sys.argv[1:]])
    return 0 if passed or options.dry_run else _KEPT
