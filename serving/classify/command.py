"""`rasd classify`: the options, and what is to be done with them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from serving.arguments import add_model, add_text_field, positive, whole_number
from serving.classify.output import (
    FORMATS,
    check_output,
    check_partition,
    format_for,
    without_own,
)
from serving.errors import InputError
from serving.files.sources import Kind, find_sources

if TYPE_CHECKING:
    from serving.archive.limit import Limit

# The model for -o. It is as accurate as `default`, and faster: that is asked only where `fast` is
# not sure.
TO_FILES = "cascade"

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
        help="output file, or a folder for parts, written as DIR/ (default: standard output)",
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
        help="read every input in this format, whatever its name or first lines",
    )
    parser.add_argument(
        "--unit",
        choices=("document", "sentence"),
        default="document",
        help="sentence: each record (or line of a text file) is one sentence; nothing is split",
    )
    add_text_field(parser)
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
        help="fields to copy to every output record, such as date,source,url; or all. "
        "document_text adds the text that offsets refer to",
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="repair wrongly decoded text, if nothing is lost by it (needs rasd[repair])",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="read everything without the model; report every problem and what would be labelled",
    )
    add_model(parser, omitted=f"{TO_FILES} with -o, else default")
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
        help="sentences to remember, so that exact repeats are scored once; 0 remembers none "
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
    output = None if options.output == "-" else Path(options.output)
    in_parts = output is not None and (options.output.endswith("/") or output.is_dir())
    if output:
        sources = without_own(sources, output, in_parts=in_parts)
    documents = DocumentStream(sources, read)
    if options.check:
        from serving.classify.check import check

        return check(sources, read)
    if output:
        check_output(output, sources, in_parts=in_parts)
        from serving.bundle import shipped_model

        options.model = options.model or shipped_model(TO_FILES)
    form = options.format or ("jsonl" if in_parts else format_for(output))
    if by := options.partition_by:
        check_partition(by, options.carry, in_parts=in_parts)
    if options.raw_csv and form != "csv":
        raise InputError(
            f"classify: --raw-csv has no effect on the format {form}",
            "Leave it out, or add --format csv.",
        )
    if output and form != "table":
        from serving.classify.in_parts import run_in_parts

        return run_in_parts(options, documents, output.resolve(), form, in_parts=in_parts)
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
    from serving.classify.stream import run_stream

    return run_stream(options, documents, output, form)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def _limit(text: str) -> "Limit":
    from serving.archive.limit import Limit

    try:
        return Limit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
