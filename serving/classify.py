"""`rasd classify`: documents in, one record per sentence out, in constant memory."""

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

from serving.arguments import add_model, positive, whole_number
from serving.atomic import atomic_file
from serving.errors import InputError, RasdError
from serving.files.sources import Kind
from serving.labelling import CHUNK, Task, label, tasks, whole
from serving.records import COLUMNS, Record
from serving.terminal import tell

if TYPE_CHECKING:
    from serving.archive.limit import Limit
    from serving.archive.run import Engine
    from serving.classifier import Classifier
    from serving.files.documents import DocumentStream
    from serving.files.fields import Unit
    from serving.files.sources import Source
    from serving.files.writers import Writer
    from serving.labels import LabelScheme
    from serving.progress import SentenceProgress

FORMATS = {
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl.gz",
    ".jsonl.zst": "jsonl.zst",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "table",
}

_DESCRIPTION = """\
Label every sentence of Arabic news. The output has one record per sentence, in input order.

INPUT is one or more of
  FILE.txt      one document; its id is the path as given
  FILE.jsonl    JSON Lines (also .ndjson): one document per line
  FILE.json     a JSON array: one document per object; or a single object
  FILE.csv      a table with a header (also .tsv): one document per row; comma-, semicolon- or
                tab-separated
  FILE.parquet  also .arrow, .feather and .xlsx: one document per row
  result.json   Telegram Desktop's export: one document per message
  FILE.html     the main text of a web page; .warc: of every page
  FILE.zip      all of these files in it; also .tar
  FILE.*.gz     any of these, compressed (.gz, .xz, .bz2 or .zst)
  FOLDER        all of these files in it and its subfolders, sorted by path, except hidden ones;
                ids are relative to the folder
  s3://…        a file or folder at a URL
  -             standard input: JSON, JSON Lines or a table if its first lines look like one,
                otherwise one plain-text document
Text must be UTF-8. Offsets count Unicode code points of the document; line ends count as they are
and a byte order mark does not count."""

_OUTPUT = """\
Without --format, the suffix of -o decides (.jsonl, .jsonl.gz, .jsonl.zst, .csv, .parquet, or .txt
for the table); standard output is a table on a terminal and JSON Lines otherwise. A CSV file begins
with the byte order mark that Excel needs to read Arabic (read it as utf-8-sig); CSV on standard
output has none. A CSV cell that a spreadsheet would run as a formula gets an apostrophe in front;
rasd takes it off when it reads the file.

With -o the output file appears when it is complete. Repeat an interrupted command to continue it.
Bad records are set aside in OUT.rejected.jsonl; without -o the first one ends the command."""


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
        "-o",
        "--output",
        default="-",
        metavar="OUT",
        help="output file, or a folder for parts, written as DIR/ (default: -, stdout)",
    )
    parser.add_argument(
        "--format", choices=tuple(FORMATS.values()), help="output format (default: see below)"
    )
    parser.add_argument(
        "--raw-csv",
        action="store_true",
        help="write CSV cells that a spreadsheet would run as formulas without the apostrophe that "
        "prevents it",
    )
    parser.add_argument(
        "--input-format",
        choices=get_args(Kind),
        help="read every input as this, whatever its name or first lines",
    )
    parser.add_argument(
        "--unit",
        choices=("document", "sentence"),
        default="document",
        help="sentence: each record (or line of a text file) is one sentence; nothing is split",
    )
    parser.add_argument(
        "--text-field",
        metavar="NAME",
        help="field with the text, or a dotted path such as article.body (default: the first of "
        "text, body, content, full_text, message, النص)",
    )
    parser.add_argument(
        "--id-field",
        default="id",
        metavar="NAME",
        help="field with the id (default: id; a record without one gets the id FILE:LINE)",
    )
    parser.add_argument(
        "--title-field", metavar="NAME", help="field with a title, which is put before the text"
    )
    parser.add_argument(
        "--carry",
        type=_names,
        default=(),
        metavar="NAMES",
        help="fields to copy to every output record: date,source,url; all; document_text is the "
        "text that offsets refer to",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="repair text that was decoded wrongly, where that loses nothing (needs rasd[repair])",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="read everything without the model; report every problem and what would be labelled",
    )
    add_model(parser)
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="cores to use (default: all available)"
    )
    archive = parser.add_argument_group("with -o")
    archive.add_argument(
        "--max-rejected",
        type=_limit,
        metavar="N|SHARE",
        help="bad records that may be set aside before the run stops: a count, or a share such as "
        "0.05 (default: 0.01)",
    )
    archive.add_argument(
        "--partition-by",
        metavar="NAME",
        help="with -o DIR/: a folder NAME=VALUE for each value of a carried field",
    )
    archive.add_argument("--strict", action="store_true", help="stop at the first bad record")
    archive.add_argument(
        "--restart", action="store_true", help="drop the finished parts of an earlier run"
    )
    archive.add_argument(
        "--cache",
        type=whole_number,
        metavar="N",
        help="sentences to remember, so that exact repeats are scored once; 0 is none "
        "(default: 100000)",
    )
    archive.add_argument(
        "--engine",
        choices=("local", "ray"),
        help="where slices are labelled: this machine, or a Ray cluster (default: local)",
    )
    archive.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="with --engine ray: a running cluster (default: one started on this machine)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Label what the command line names; raise InputError before anything is written."""
    from serving.files.documents import DocumentStream
    from serving.files.fields import ReadOptions
    from serving.files.sources import find_sources

    sources = find_sources(options.inputs, options.input_format)
    read = ReadOptions(
        unit=options.unit,
        text_field=options.text_field,
        id_field=options.id_field,
        title_field=options.title_field,
        carry=options.carry,
        repair=options.repair,
    )
    read.check()
    documents = DocumentStream(sources, read)
    if options.check:
        from serving.check import check

        return check(sources, read)
    output = None if options.output == "-" else Path(options.output)
    in_parts = output is not None and (options.output.endswith("/") or output.is_dir())
    if output:
        _check_output(output, sources, in_parts=in_parts)
    form = options.format or ("jsonl" if in_parts else _format_for(output))
    if by := options.partition_by:
        _check_partition(by, options.carry, in_parts=in_parts)
    if options.raw_csv and form != "csv":
        raise InputError(
            f"classify: --raw-csv has no effect on the format {form}",
            "Leave it out, or add --format csv.",
        )
    if output and form != "table":
        return _run_archive(options, documents, output.resolve(), form, in_parts=in_parts)
    if in_parts:
        raise InputError(f"{output}: a table has no parts", "Add --format jsonl or csv.")
    if form not in ("table", "jsonl", "csv"):
        raise InputError(f"--format {form} needs an output file", "Add -o FILE or -o DIR/.")
    for name in ("max-rejected", "strict", "restart", "cache", "engine", "ray-address"):
        if (given := getattr(options, name.replace("-", "_"))) is not None and given is not False:
            raise InputError(
                f"--{name} needs a .jsonl or .csv file to write to",
                "Name one with -o. Elsewhere the first bad record ends the command.",
            )
    return _run_stream(options, documents, output, form)


def _run_archive(
    options: argparse.Namespace,
    documents: "DocumentStream",
    output: Path,
    form: str,
    *,
    in_parts: bool,
) -> int:
    """Label into parts that outlive a crash, and report what was done."""
    from serving.archive.cache import CAPACITY
    from serving.archive.labeller import Job
    from serving.archive.limit import Limit
    from serving.archive.outputs import output_format
    from serving.archive.run import Archive, here, rejected_file
    from serving.classifier import Classifier

    classifier = Classifier.load(options.model, threads=options.threads)
    cache = CAPACITY if options.cache is None else options.cache
    folder = output if in_parts else output.with_name(f"{output.name}.parts")
    settings = {
        "format": "raw csv" if options.raw_csv else form,
        "partition_by": options.partition_by,
        **dataclasses.asdict(documents.options),
        "carry": list(documents.options.carry),
    }
    written = output_format(
        form,
        carry=documents.options.carry,
        labels=classifier.bundle.scheme.names,
        about={"rasd.model": classifier.model, "rasd.options": json.dumps(settings)},
        partition_by=options.partition_by,
        raw_csv=options.raw_csv,
    )
    run = Archive(
        job=Job(documents.options, folder, written, cache, options.strict),
        sources=documents.sources,
        identity={
            "input": [_identity(source) for source in documents.sources],
            "options": settings,
            "model": classifier.model,
        },
        limit=options.max_rejected or Limit(),
        restart=options.restart,
        target=None if in_parts else output,
    )
    engine: Engine = here
    if options.ray_address and options.engine != "ray":
        raise InputError("--ray-address needs --engine ray", "Add --engine ray.")
    if options.engine == "ray":
        from serving.archive.ray_engine import on_ray

        engine = partial(on_ray, address=options.ray_address)
    total = run.run(classifier, engine, progress_visible=sys.stderr.isatty())
    if not total.sentences:
        tell("no text in the input, so nothing was labelled")
    _say(total.notes)
    if total.rejected:
        problem, _ = total.rejection or ("", "")
        tell(f"set aside {total.rejected:,} of {total.records:,} records; the first: {problem}")
        tell(f"{rejected_file(output)} has them all")
    return 0


def _identity(source: "Source") -> list[str | int]:
    """Return what differs when a file has been changed."""
    return [source.name, *source.state]


def _run_stream(
    options: argparse.Namespace, documents: "DocumentStream", output: Path | None, form: str
) -> int:
    """Label to standard output, or a table to a file; the first bad record stops the run."""
    # SIGTERM leaves no temporary file behind, as Ctrl+C does.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    from serving.classifier import Classifier
    from serving.progress import SentenceProgress

    classifier = Classifier.load(options.model, threads=options.threads)
    # Where rows appear on the same terminal, they show the progress.
    visible = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    with SentenceProgress(documents.size, visible=visible) as progress:
        records = labelled(documents, classifier, options.unit, progress)
        try:
            with _opened(output) as stream:
                writer = _writer(stream, form, classifier.bundle.scheme, options, output)
                writer.write(records)
                writer.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise RasdError(
                f"{output or 'standard output'}: cannot be written: {error.strerror}"
            ) from error
    if not progress.sentences:
        tell("no text in the input, so nothing was labelled")
    _say(documents.notes)
    return 0


def _say(notes: Mapping[str, int]) -> None:
    """Say on stderr what reading did to the documents."""
    for note, count in sorted(notes.items()):
        tell(f"{count:,} document{'s' if count != 1 else ''}: {note}")


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
        for task in tasks(documents, whole if unit == "sentence" else classifier.split):
            if task.number == 0:
                before, after = after, documents.position
            # A long document is read at once but classified for minutes.
            share = task.sentence.end / max(1, len(task.document.text))
            position = before + (after - before) * share
            yield task

    for chunk in label(watched(), classifier, CHUNK):
        progress.update(len(chunk), position)
        yield from chunk


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def _limit(text: str) -> "Limit":
    from serving.archive.limit import Limit

    try:
        return Limit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _format_for(output: Path | None) -> str:
    if output is None:
        return "table" if sys.stdout.isatty() else "jsonl"
    for suffix in ("".join(output.suffixes[-2:]).lower(), output.suffix.lower()):
        if suffix in FORMATS:
            return FORMATS[suffix]
    raise InputError(
        f"{output}: its suffix {output.suffix!r} names no format",
        f"End the name with {', '.join(FORMATS)} (a table), or give --format.",
    )


def _check_partition(column: str, carry: Sequence[str], *, in_parts: bool) -> None:
    if not in_parts:
        raise InputError("--partition-by needs a folder of parts", "Write -o DIR/.")
    if column not in carry and "all" not in carry:
        raise InputError(
            f"--partition-by {column}: this field is not carried", f"Add --carry {column}."
        )


def _check_output(output: Path, sources: "Sequence[Source]", *, in_parts: bool) -> None:
    if in_parts:
        if output.is_dir() and any(output.iterdir()) and not (output / "run.json").is_file():
            raise InputError(
                f"{output}: holds something other than a run's parts", "Name a new folder."
            )
    elif output.exists() and not output.is_file():
        kind = "a folder" if output.is_dir() else "a device or a pipe"
        raise InputError(f"{output}: is {kind}, not a file", "Name a file, or leave -o out.")
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}", "Make it first.")
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"{output}: the folder may not be written to", "Name another folder.")
    for source in sources:
        if output.is_file() and source.path and output.samefile(source.path):
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
    stream: BinaryIO,
    form: str,
    scheme: "LabelScheme",
    options: argparse.Namespace,
    output: Path | None,
) -> "Writer":
    if form == "table":
        from serving.files.table import TableWriter

        terminal = output is None and sys.stdout.isatty()
        return TableWriter(
            stream, scheme, by_document=options.unit == "document", terminal=terminal
        )
    from serving.files.writers import CsvWriter, JsonLinesWriter

    if form == "jsonl":
        return JsonLinesWriter(stream)
    # Excel needs the mark to read a file; programs that read a pipe do not expect it.
    every = "all" in options.carry
    return CsvWriter(
        stream,
        byte_order_mark=output is not None,
        columns=(*COLUMNS, "carried") if every else COLUMNS,
        carry=() if every else options.carry,
        raw=options.raw_csv,
    )
