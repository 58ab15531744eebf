"""The sub-commands of the serving room; their work is imported only when one runs."""

import argparse
import signal
import sys
from pathlib import Path

from serving.registry.command import add_models_parser

CLASSIFY = """\
Label every sentence of Arabic news: one record a sentence, in the order of the input.

INPUT is any number of
  FILE.txt      one document; its id is the path as given
  FILE.jsonl    one document a line
  FILE.csv      one document a row, with a header row; cells part at , or ; or a tab
  FILE.*.gz     any of these, compressed (.gz or .xz)
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


SERVE = """\
Serve a model over HTTP, and the page on which people use it, until Ctrl+C or SIGTERM.

GET / is the page, POST /v1/classify and POST /predict label, /docs describes the interface, and
/livez, /readyz and /metrics watch over it. Options win over the keys of --config."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add classify, serve and feedback."""
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
        "--model",
        type=Path,
        metavar="DIR",
        help="a bundle's folder, or a model that ships: default (the default) or fast",
    )
    classify.add_argument(
        "--threads", type=_positive, metavar="N", help="cores to use (default: all available)"
    )
    classify.set_defaults(run=_classify)

    serve = subparsers.add_parser(
        "serve",
        help="serve a model over HTTP, and the page on which people use it",
        description=SERVE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.add_argument(
        "--config", type=Path, metavar="FILE", help="a file of the form of configs/serve.yaml"
    )
    serve.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="the port (default: 8000; 0: any free one)")
    source = serve.add_mutually_exclusive_group()
    source.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="a bundle's folder, or a model that ships: default (the default) or fast",
    )
    source.add_argument(
        "--registry", type=Path, metavar="DIR", help="a registry, whose current version is followed"
    )
    serve.add_argument("--workers", type=_positive, metavar="N", help="worker processes")
    serve.add_argument("--threads", type=_positive, metavar="N", help="threads of each worker")
    serve.add_argument(
        "--insecure", action="store_true", help="listen beyond this machine without API keys"
    )
    serve.add_argument(
        "--new-key", metavar="NAME", help="print a new API key and its line for the keys file; end"
    )
    serve.set_defaults(run=_serve)

    feedback = subparsers.add_parser(
        "feedback", help="what analysts have corrected on the page or over HTTP"
    ).add_subparsers(dest="action", metavar="ACTION", required=True)
    export = feedback.add_parser(
        "export",
        help="write the corrections as a labelled file",
        description="Write every correction that the service has kept, the oldest first, as a "
        "labelled file that `rasd train` and `rasd evaluate` read.",
    )
    export.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .jsonl or .csv file, which appears whole or not at all",
    )
    place = export.add_mutually_exclusive_group()
    place.add_argument(
        "--database", metavar="URL", help="the database (default: sqlite:///feedback.db)"
    )
    place.add_argument(
        "--config", type=Path, metavar="FILE", help="the service's configuration, which names it"
    )
    export.set_defaults(run=_export_feedback)
    add_models_parser(subparsers)


def _classify(options: argparse.Namespace) -> int:
    # As Ctrl+C does, SIGTERM leaves no temporary file behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    from serving.classify import run

    return run(options)


def _serve(options: argparse.Namespace) -> int:
    from serving.service.command import run

    return run(options)


def _export_feedback(options: argparse.Namespace) -> int:
    from serving.service.feedback_export import export

    return export(options)


def _output(text: str) -> Path | None:
    return None if text == "-" else Path(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
