"""Command-line options that several verbs share."""

import argparse
from pathlib import Path


def add_model(options: argparse._ActionsContainer) -> None:
    """Add --model to a parser or a group of options."""
    options.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="default (used if omitted), fast, or the folder of a bundle that you trained",
    )


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def whole_number(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
