"""The sub-commands of the serving room; their work is imported only when one runs."""

import argparse
from importlib import import_module
from pathlib import Path

CLASSIFY = """\
Label every sentence of Arabic news: one record a sentence, in the order of the input.

INPUT is any number of
  FILE.txt      one document; its id is the path as given
  FILE.jsonl    one document a line
  FILE.csv      one document a row, with a header row
  FILE.*.gz     any of these, compressed
  FOLDER        all of these in it and below, in the order of their paths, hidden ones left
                out; ids are relative to the folder
  -             standard input: JSON Lines when its first sign is {, otherwise one plain text
All text is UTF-8. Offsets count Unicode code points of the document's own text, its line ends
as they are and a byte order mark left out."""

OUTPUT = """\
Without --format, -o decides by its suffix (.jsonl, .csv, .txt for the table); standard output is
a table on a terminal and JSON Lines otherwise. -o FILE appears whole or not at all. A CSV file
begins with the byte order mark that Excel needs to read Arabic (read it as utf-8-sig); CSV on
standard output has none."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add classify."""
    classify = subparsers.add_parser(
        "classify",
        help="label every sentence of files, folders or standard input",
        description=CLASSIFY,
        epilog=OUTPUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    classify.add_argument("inputs", nargs="+", metavar="INPUT", help="files, folders, or -")
    classify.add_argument(
        "-o", "--output", type=_output, metavar="OUT", help="write to a file (default: -, stdout)"
    )
    classify.add_argument("--format", choices=("table", "jsonl", "csv"), help="see below")
    classify.add_argument(
        "--unit",
        choices=("document", "sentence"),
        default="document",
        help="sentence: each record, or each line of a text, is one sentence and is never split",
    )
    classify.add_argument(
        "--text-field", default="text", metavar="NAME", help="the records' text (default: text)"
    )
    classify.add_argument(
        "--id-field",
        default="id",
        metavar="NAME",
        help="the records' id (default: id; a record without one is FILE:LINE)",
    )
    classify.add_argument(
        "--model", type=Path, metavar="DIR", help="a bundle (default: the model that ships)"
    )
    classify.add_argument(
        "--threads", type=_positive, metavar="N", help="cores to use (default: all available)"
    )
    classify.set_defaults(run=_classify)


def _classify(options: argparse.Namespace) -> int:
    return int(import_module("serving.classify").run(options))


def _output(text: str) -> Path | None:
    return None if text == "-" else Path(text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number
