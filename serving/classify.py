"""`rasd classify`: documents in, one record a sentence out, in constant memory."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from serving.atomic import atomic_file
from serving.classifier import Classifier
from serving.errors import InputError, RasdError
from serving.files.documents import DocumentStream, ReadOptions, Unit
from serving.files.sources import Source, find_sources
from serving.files.writers import Record, csv_lines, json_lines
from serving.labels import LabelScheme
from serving.progress import SentenceProgress
from serving.records import Document, Sentence, sentence_record
from serving.text.sentences import split_sentences

# Sentences that are classified together: enough to sort them by length, few enough to hold.
CHUNK = 512

FORMATS = {".jsonl": "jsonl", ".csv": "csv", ".txt": "table"}


def run(options: argparse.Namespace) -> int:
    """Label what the command line names; raise InputError before anything is written."""
    sources = find_sources(options.inputs, options.input_format)
    output: Path | None = options.output
    if output:
        _check_output(output, sources)
    form = options.format or _format_for(output)
    classifier = Classifier.load(options.model, threads=options.threads)
    documents = DocumentStream(
        sources, ReadOptions(options.unit, options.text_field, options.id_field)
    )
    # Where rows run over the same terminal, they are the progress.
    visible = sys.stderr.isatty() and not (output is None and sys.stdout.isatty())
    with SentenceProgress(documents.size, visible=visible) as progress:
        records = label(documents, classifier, options.unit, progress)
        try:
            with _opened(output) as stream:
                stream.writelines(
                    _lines(records, form, classifier.bundle.scheme, options.unit, output)
                )
        except BrokenPipeError:
            raise
        except OSError as error:
            raise RasdError(
                f"{output or 'standard output'}: cannot be written: {error.strerror}"
            ) from error
    if not progress.sentences:
        sys.stderr.write("rasd: no text in the input, so nothing was labelled\n")
    return 0


def label(
    documents: DocumentStream, classifier: Classifier, unit: Unit, progress: SentenceProgress
) -> Iterator[Record]:
    """Yield the record of every sentence, in order; documents are read as they are needed."""
    tasks = _tasks(documents, unit)
    while chunk := list(islice(tasks, CHUNK)):
        answers = classifier.classify([task.sentence.text for task in chunk])
        progress.update(len(chunk), chunk[-1].position)
        for task, answer in zip(chunk, answers, strict=True):
            yield sentence_record(
                task.document, task.number, task.sentence, answer, model=classifier.model
            )


@dataclass(frozen=True, slots=True)
class _Task:
    """A sentence of a document, and how many bytes of input are done when it is."""

    document: Document
    number: int
    sentence: Sentence
    position: float


def _tasks(documents: DocumentStream, unit: Unit) -> Iterator[_Task]:
    before = 0
    for document in documents:
        after = documents.position
        # A long document is read at once and classified for minutes: its bytes count as they go.
        share = (after - before) / max(1, len(document.text))
        for number, sentence in enumerate(_sentences(document, unit)):
            yield _Task(document, number, sentence, before + share * sentence.end)
        before = after


def _sentences(document: Document, unit: Unit) -> Iterable[Sentence]:
    if unit == "sentence":
        return [Sentence(document.text, 0, len(document.text))]
    return split_sentences(document.text)


def _format_for(output: Path | None) -> str:
    if output is None:
        return "table" if sys.stdout.isatty() else "jsonl"
    try:
        return FORMATS[output.suffix.lower()]
    except KeyError as error:
        raise InputError(
            f"{output}: its suffix {output.suffix!r} names no format",
            "End it with .jsonl, .csv or .txt (a table), or say --format.",
        ) from error


def _check_output(output: Path, sources: Sequence[Source]) -> None:
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
    """Open standard output, or a file that takes its name only when all of it is written."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        # A link is followed, not replaced.
        with atomic_file(output.resolve()) as temporary, temporary.open("wb") as stream:
            yield stream


def _lines(
    records: Iterable[Record],
    form: str,
    scheme: LabelScheme,
    unit: Unit,
    output: Path | None,
) -> Iterator[bytes]:
    if form == "jsonl":
        return json_lines(records)
    if form == "csv":
        # A file may be opened with Excel, which needs the mark; what reads a pipe stumbles on it.
        return csv_lines(records, byte_order_mark=output is not None)
    from serving.files.table import table_lines

    return table_lines(
        records,
        scheme,
        by_document=unit == "document",
        terminal=output is None and sys.stdout.isatty(),
    )
