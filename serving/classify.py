"""`rasd classify`: documents in, one record per sentence out, in constant memory."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from serving.arguments import add_model, positive
from serving.atomic import atomic_file
from serving.errors import InputError, RasdError
from serving.labelling import CHUNK, Task, label, tasks, whole
from serving.records import Record
from serving.text.sentences import split_sentences

if TYPE_CHECKING:
    from serving.classifier import Classifier
    from serving.files.documents import DocumentStream, Unit
    from serving.files.sources import Source
    from serving.files.writers import Writer
    from serving.labels import LabelScheme
    from serving.progress import SentenceProgress

FORMATS = {".jsonl": "jsonl", ".csv": "csv", ".txt": "table"}

_DESCRIPTION = """\
Label every sentence of Arabic news. The output has one record per sentence, in input order.

INPUT is one or more of
  FILE.txt      one document; its id is the path as given
  FILE.jsonl    JSON Lines (also .ndjson): one document per line
  FILE.json     a JSON array: one document per object; or a single object
  FILE.csv      a table with a header (also .tsv): one document per row; comma-, semicolon- or
                tab-separated
  FILE.*.gz     any of these, compressed (.gz or .xz)
  FOLDER        all of these files in it and its subfolders, sorted by path, except hidden ones;
                ids are relative to the folder
  -             standard input: JSON, JSON Lines or a table if its first lines look like one,
                otherwise one plain-text document
Text must be UTF-8. Offsets count Unicode code points of the document; line ends count as they are
and a byte order mark does not count."""

_OUTPUT = """\
Without --format, the suffix of -o decides (.jsonl, .csv, or .txt for the table); standard output is
a table on a terminal and JSON Lines otherwise. -o writes atomically: if the command fails, no
partial file is left. A CSV file begins with the byte order mark that Excel needs to read Arabic
(read it as utf-8-sig); CSV on standard output has none."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        "classify",
        help="label every sentence of files, folders or standard input",
        description=_DESCRIPTION,
        epilog=_OUTPUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files, folders, or -")
    parser.add_argument(
        "-o", "--output", type=_output, metavar="OUT", help="output file (default: -, stdout)"
    )
    parser.add_argument("--format", choices=("table", "jsonl", "csv"), help="see below")
    parser.add_argument(
        "--input-format",
        choices=("text", "jsonl", "json", "csv", "tsv"),
        help="read every input as this, whatever its name or first lines",
    )
    parser.add_argument(
        "--unit",
        choices=("document", "sentence"),
        default="document",
        help="sentence: each record (or line of a text file) is one sentence; nothing is split",
    )
    parser.add_argument(
        "--text-field", default="text", metavar="NAME", help="field with the text (default: text)"
    )
    parser.add_argument(
        "--id-field",
        default="id",
        metavar="NAME",
        help="field with the id (default: id; a record without one gets the id FILE:LINE)",
    )
    add_model(parser)
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="cores to use (default: all available)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Label what the command line names; raise InputError before anything is written."""
    # SIGTERM leaves no temporary file behind, as Ctrl+C does.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    from serving.classifier import Classifier
    from serving.files.documents import DocumentStream, ReadOptions
    from serving.files.sources import find_sources
    from serving.progress import SentenceProgress

    sources = find_sources(options.inputs, options.input_format)
    output: Path | None = options.output
    if output:
        _check_output(output, sources)
    form = options.format or _format_for(output)
    classifier = Classifier.load(options.model, threads=options.threads)
    documents = DocumentStream(
        sources, ReadOptions(options.unit, options.text_field, options.id_field)
    )
    # Where rows appear on the same terminal, they show the progress.
    visible = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    with SentenceProgress(documents.size, visible=visible) as progress:
        records = labelled(documents, classifier, options.unit, progress)
        try:
            with _opened(output) as stream:
                writer = _writer(stream, form, classifier.bundle.scheme, options.unit, output)
                writer.write(records)
                writer.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise RasdError(
                f"{output or 'standard output'}: cannot be written: {error.strerror}"
            ) from error
    if not progress.sentences:
        sys.stderr.write("rasd: no text in the input, so nothing was labelled\n")
    return 0


def labelled(
    documents: "DocumentStream",
    classifier: "Classifier",
    unit: "Unit",
    progress: "SentenceProgress",
) -> Iterator[Record]:
    """Yield the record of every sentence, in order; documents are read as they are needed."""
    position = 0.0

    def watched() -> Iterator[Task]:
        """Keep `position`: the bytes of input before the end of the last task."""
        nonlocal position
        before = after = 0
        for task in tasks(documents, whole if unit == "sentence" else split_sentences):
            if task.number == 0:
                before, after = after, documents.position
            # A long document is read at once but classified for minutes.
            share = task.sentence.end / max(1, len(task.document.text))
            position = before + (after - before) * share
            yield task

    for chunk in label(watched(), classifier, CHUNK):
        progress.update(len(chunk), position)
        yield from chunk


def _output(text: str) -> Path | None:
    return None if text == "-" else Path(text)


def _format_for(output: Path | None) -> str:
    if output is None:
        return "table" if sys.stdout.isatty() else "jsonl"
    try:
        return FORMATS[output.suffix.lower()]
    except KeyError as error:
        raise InputError(
            f"{output}: its suffix {output.suffix!r} names no format",
            "End the name with .jsonl, .csv or .txt (a table), or give --format.",
        ) from error


def _check_output(output: Path, sources: "Sequence[Source]") -> None:
    if output.exists() and not output.is_file():
        kind = "a folder" if output.is_dir() else "a device or a pipe"
        raise InputError(f"{output}: is {kind}, not a file", "Name a file, or leave -o out.")
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}", "Make it first.")
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"{output}: the folder may not be written to", "Name another folder.")
    for source in sources:
        if output.exists() and source.path and output.samefile(source.path):
            raise InputError(
                f"{output}: is also an input, and would be overwritten", "Name another file."
            )


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Open standard output, or a file that appears under its name only when it is complete."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        # A link is followed, not replaced.
        with atomic_file(output.resolve()) as temporary, temporary.open("wb") as stream:
            yield stream


def _writer(
    stream: BinaryIO, form: str, scheme: "LabelScheme", unit: "Unit", output: Path | None
) -> "Writer":
    if form == "table":
        from serving.files.table import TableWriter

        terminal = output is None and sys.stdout.isatty()
        return TableWriter(stream, scheme, by_document=unit == "document", terminal=terminal)
    from serving.files.writers import CsvWriter, JsonLinesWriter

    if form == "jsonl":
        return JsonLinesWriter(stream)
    # Excel needs the mark to read a file; programs that read a pipe do not expect it.
    return CsvWriter(stream, byte_order_mark=output is not None)
