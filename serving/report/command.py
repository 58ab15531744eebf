"""`rasd report`: one self-contained page about the results of an archive."""

import argparse
import sys
from pathlib import Path

from serving.errors import InputError
from serving.terminal import tell

STEP = 1000  # results between two updates of the progress bar

_DESCRIPTION = """\
Summarise what `rasd classify` wrote, as one HTML page that needs no network.

RESULTS is one or more files of records (.jsonl, .csv or .parquet, also compressed), or folders of
them, such as the parts that `rasd classify -o DIR/` leaves. If the records carry the fields `date`,
`outlet` or `source`, and `url`, the page also shows labels over time and by outlet, puts denials
beside the claims of the same day, and links sentences to their articles. Fields are also read from
the names of folders that `--partition-by` made. Memory does not grow with the results."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb to the command line."""
    parser = subparsers.add_parser(
        "report",
        help="make a page about the results of `rasd classify`",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("results", nargs="+", metavar="RESULTS", help="files or folders")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="the page, an HTML file (default: report.html)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the page's figures as JSON"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read all results, then write; raise InputError before anything is written."""
    from serving.bundle import read_manifest, shipped_model
    from serving.progress import SentenceProgress
    from serving.report.page import write_json, write_page
    from serving.report.results import find_results, read_results
    from serving.report.summary import Summary

    sources = find_results(options.results)
    outputs = [options.output, *([options.json] if options.json else [])]
    inputs = {source.path.resolve() for source in sources if source.path}
    for output in outputs:
        _check_output(output, inputs)
        inputs.add(output.resolve())
    if options.output.suffix.lower() not in ("", ".html", ".htm"):
        raise InputError(
            f"{options.output}: its suffix {options.output.suffix!r} is not that of an HTML page",
            "End the name with .html. To write the figures as JSON too, add --json FILE.",
        )
    summary = Summary(read_manifest(shipped_model()).scheme)
    total = sum(source.size for source in sources)
    with SentenceProgress(total, visible=sys.stderr.isatty()) as progress:
        for number, (result, position) in enumerate(read_results(sources), 1):
            summary.add(result)
            if number % STEP == 0:
                progress.update(STEP, position)
    report = summary.report(options.results)
    write_page(report, options.output)
    if options.json:
        write_json(report, options.json)
    for output in outputs:
        tell(f"{output} is written")
    return 0


def _check_output(output: Path, inputs: set[Path]) -> None:
    if output.is_dir():
        raise InputError(f"{output}: is a folder, not a file", "Name a file such as report.html.")
    if not output.parent.is_dir():
        raise InputError(f"{output}: there is no folder {output.parent}", "Make it first.")
    if output.resolve() in inputs:
        raise InputError(
            f"{output}: is also an input or the other output, and would be overwritten",
            "Name another.",
        )
