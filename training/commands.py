"""The sub-commands of the training room, in the order of `rasd --help`."""

import argparse
from collections.abc import Callable
from functools import partial

from serving.errors import InputError
from training.average import command as average
from training.evaluate import command as evaluate
from training.export import command as export
from training.train import command as train
from training.trim import command as trim
from training.validate import command as validate

_VERBS = (
    (train.add_parser, train.run),
    (evaluate.add_parser, evaluate.run),
    (export.add_parser, export.run),
    (average.add_parser, average.run),
    (trim.add_parser, trim.run),
    (validate.add_parser, validate.run),
)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add every sub-command."""
    for add_parser, run in _VERBS:
        add_parser(subparsers).set_defaults(run=partial(_run, run))


def _run(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a sub-command; name the extra to install if one of its packages is missing."""
    try:
        return command(options)
    except ModuleNotFoundError as error:
        raise InputError(
            f"this command needs the package {error.name}, which is not installed",
            "Install the training extra: pip install -e '.[train]' in rasd's folder.",
        ) from error
