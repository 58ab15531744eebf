"""An archive's sentences as records: labelled now, or read from the results of `rasd classify`."""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter, ValidationError

from serving.classifier import Classifier
from serving.errors import InputError
from serving.files.documents import DocumentStream
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.labelling import CHUNK, Scorer, Splitter, label, tasks, whole
from serving.progress import SentenceProgress
from serving.records import Document, Record
from serving.terminal import tell_notes

# What the records of `rasd classify` have, and documents do not.
_OF_RESULTS = {"doc_id", "sentence", "start", "end", "probabilities", "model"}
_RECORD = TypeAdapter(Record)


def read_archive(
    options: argparse.Namespace, inputs: Sequence[str], classifier: Classifier
) -> Iterator[Record]:
    """Yield the records of `inputs`, read as the options of `serving.arguments.add_reading` say.

    Raises InputError before the first record if an input is missing or of an unknown kind.
    """
    documents = DocumentStream(find_sources(inputs), ReadOptions(options.unit, options.text_field))
    names = classifier.bundle.scheme.names
    with SentenceProgress(documents.size, visible=sys.stderr.isatty()) as progress:
        for record in labelled_records(documents, classifier, names):
            progress.update(1, documents.position)
            yield record
    tell_notes(documents.notes)


def labelled_records(
    documents: DocumentStream, classifier: Scorer, names: Sequence[str]
) -> Iterator[Record]:
    """Yield the record of every sentence, in order and in constant memory.

    Results of `rasd classify` keep the probabilities that they have; everything else is split and
    labelled. `names` are the labels that the results must have. Raises InputError.
    """
    split: Splitter = whole if documents.options.unit == "sentence" else classifier.split
    for is_result, group in groupby(documents, key=_is_result):
        if is_result:
            yield from _read(group, names)
        else:
            yield from _label(group, classifier, split)


def _label(documents: Iterable[Document], classifier: Scorer, split: Splitter) -> Iterator[Record]:
    for chunk in label(tasks(documents, split), classifier, CHUNK):
        yield from chunk


def _is_result(document: Document) -> bool:
    return document.metadata.keys() >= _OF_RESULTS


def _read(documents: Iterable[Document], names: Sequence[str]) -> Iterator[Record]:
    for document in documents:
        # An empty cell of a CSV file is what null is in JSON.
        fields = {key: None if v == "" else v for key, v in document.metadata.items()}
        fields = {"text": document.text, "truncated": False} | _given(fields)
        try:
            if isinstance(fields["probabilities"], str):
                fields["probabilities"] = json.loads(fields["probabilities"])
            record = _RECORD.validate_python(fields)
        except (ValidationError, ValueError) as error:
            why = str(error).splitlines()[0]
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                why = f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
            raise _not_ours(document, why) from error
        if record.label is not None and not _fits(record, names):
            raise _not_ours(
                document, f"its labels are {', '.join({**record.probabilities, record.label: 0})}"
            )
        yield record


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a record without those that are empty because they do not apply."""
    known = {field.name for field in dataclasses.fields(Record)}
    optional = {"truncated", "error"}
    return {
        name: value
        for name, value in fields.items()
        if name in known and not (name in optional and value is None)
    }


def _fits(record: Record, names: Sequence[str]) -> bool:
    """Tell whether a record has one of `names`, and a probability for each of them alone."""
    values = record.probabilities.values()
    return (
        record.label in names
        and tuple(record.probabilities) == tuple(names)
        and all(math.isfinite(value) and 0 <= value <= 1 for value in values)
    )


def _not_ours(document: Document, why: str) -> InputError:
    return InputError(
        f"{document.id}: not a result of `rasd classify` with this model's labels ({why})",
        "Label the archive again, or name the model that labelled it with --model.",
    )
