"""The sub-commands of the training room, each with its arguments in its own folder."""

import argparse
from functools import partial
from typing import Protocol

from serving.errors import InputError
from training.adapt import command as adapt
from training.average import command as average
from training.cascade import command as cascade
from training.drift import command as drift
from training.evaluate import command as evaluate
from training.export import command as export
from training.retrain import command as retrain
from training.suggest import command as suggest
from training.train import command as train
from training.trim import command as trim
from training.validate import command as validate


class _Verb(Protocol):
    """A module `command`; its docstring is the text of `--help`."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int: ...


_VERBS: dict[str, _Verb] = {
    "train": train,
    "retrain": retrain,
    "evaluate": evaluate,
    "export": export,
    "average": average,
    "cascade": cascade,
    "trim": trim,
    "adapt": adapt,
    "validate": validate,
    "suggest": suggest,
    "drift": drift,
}


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add every sub-command."""
    for name, verb in _VERBS.items():
        text = verb.__doc__ or ""
        parser = subparsers.add_parser(
            name,
            help=text.partition(".\n")[0].lower(),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_arguments(parser)
        parser.set_defaults(run=partial(_run, verb))


def _run(verb: _Verb, options: argparse.Namespace) -> int:
    """Run a sub-command; name the extra to install if one of its packages is missing."""
    try:
        return verb.run(options)
    except ModuleNotFoundError as error:
        raise InputError(
            f"this command needs the package {error.name}, which is not installed",
            "Install the training extra: pip install -e '.[train]' in rasd's folder.",
        ) from error
