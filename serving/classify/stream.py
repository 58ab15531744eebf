"""`rasd classify INPUT`: labels to standard output, or a table to a file, without parts."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from serving.atomic import atomic_file
from serving.classifier import Classifier
from serving.errors import RasdError
from serving.files.documents import DocumentStream
from serving.files.fields import Unit
from serving.files.table import TableWriter
from serving.files.writers import CsvWriter, JsonLinesWriter, Writer
from serving.labelling import CHUNK, Task, label, tasks, whole
from serving.labels import LabelScheme
from serving.progress import SentenceProgress
from serving.records import COLUMNS, Record
from serving.terminal import tell, tell_notes


def run_stream(
    options: argparse.Namespace, documents: DocumentStream, output: Path | None, form: str
) -> int:
    """Label to standard output, or a table to a file; the first bad record stops the run."""
    # SIGTERM leaves no temporary file behind, as Ctrl+C does.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
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
    tell_notes(documents.notes)
    return 0


def labelled(
    documents: DocumentStream,
    classifier: Classifier,
    unit: Unit,
    progress: SentenceProgress,
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
    scheme: LabelScheme,
    options: argparse.Namespace,
    output: Path | None,
) -> Writer:
    if form == "table":
        terminal = output is None and sys.stdout.isatty()
        return TableWriter(
            stream, scheme, by_document=options.unit == "document", terminal=terminal
        )
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
