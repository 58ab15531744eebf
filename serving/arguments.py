"""Command-line options that several verbs share."""

import argparse
from pathlib import Path


def add_model(options: argparse._ActionsContainer, *, omitted: str = "default") -> None:
    """Add --model to a parser or a group of options; `omitted` says what is used without it."""
    options.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="default, fast, cascade (fast, and default where it is not sure), or the folder of a "
        f"bundle that you trained (default: {omitted})",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add what a verb needs that reads an archive to the end: the inputs and how to read them."""
    parser.add_argument("archive", nargs="+", metavar="ARCHIVE", help="files, folders, or -")
    parser.add_argument(
        "--unit",
        choices=("document", "sentence"),
        default="document",
        help="sentence: each record (or line of a text file) is one sentence; nothing is split",
    )
    add_text_field(parser)
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="cores to use (default: all available)"
    )


def add_text_field(parser: argparse._ActionsContainer) -> None:
    """Add --text-field, which every verb has that reads unlabelled text."""
    parser.add_argument(
        "--text-field",
        metavar="NAME",
        help="field with the text, or a dotted path such as article.body (default: the first of "
        "text, body, content, full_text, message, النص)",
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
