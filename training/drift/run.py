"""From an archive and a reference to the table, or the JSON, of what has changed."""

import argparse
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

import numpy as np

from serving.classifier import Classifier
from serving.errors import InputError
from serving.labelling import CHUNK
from serving.onnx_model import load_tokenizer, tokenize
from serving.records import Record
from serving.terminal import counted
from serving.text.normalize import NORMALIZERS
from training.arrays import IntArray
from training.drift.compare import Change, compare
from training.drift.profile import of_reference, profile, unknown_id, width
from training.labelled.records import read_archive

# Documents are resampled in so many groups at most: memory must not depend on the archive.
_BLOCKS = 1000
# With fewer documents, or sentences, on either side chance alone looks like a change: two halves of
# the same 60 documents of five sentences differed in 18 of 100 draws, those of 100 in 2.
FEWEST = 50
FEWEST_SENTENCES = 150


def drift(options: argparse.Namespace) -> None:
    """Print what the options of `rasd drift` ask for."""
    classifier = Classifier.load(options.model, threads=options.threads)
    stored = classifier.bundle.manifest.reference
    if options.reference is None and stored is None:
        raise InputError(
            f"{classifier.bundle.folder}: the bundle has no reference to compare with",
            "Name sentences to compare with: --reference FILE, for example its held-out sentences.",
        )
    if options.reference is not None:
        reference = _blocks(options, [options.reference], classifier)
    else:
        assert stored is not None
        reference = of_reference(stored)
        _check_size(reference, f"{classifier.bundle.folder}: the reference in the bundle")
    changes = compare(_blocks(options, options.archive, classifier), reference)
    if options.json:
        found = [asdict(change) | {"due": change.due} for change in changes]
        due = any(change.due for change in changes)
        text = {"model": classifier.model, "retraining_due": due, "changes": found}
        sys.stdout.write(json.dumps(text, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write(_table(changes))


def _blocks(options: argparse.Namespace, inputs: list[str], classifier: Classifier) -> IntArray:
    """Return the profiles (n, width) of groups of documents; the same document, the same group."""
    names = classifier.bundle.scheme.names
    blocks = np.zeros((_BLOCKS, width(len(names))), dtype=np.int64)
    documents: set[str] = set()
    for record, counts in _profiles(read_archive(options, inputs, classifier), classifier):
        if len(documents) < FEWEST:
            documents.add(record.doc_id)
        blocks[zlib.crc32(record.doc_id.encode(errors="surrogatepass")) % _BLOCKS] += counts
    kept = blocks[blocks.any(axis=1)]
    if len(documents) < FEWEST:
        raise InputError(
            f"{', '.join(inputs)}: {counted(len(documents), 'document')} with text; "
            f"a comparison needs {FEWEST}",
            "Name more."
            if options.unit == "sentence"
            else "Name more, or add --unit sentence if every record is a sentence of its own.",
        )
    _check_size(kept, ", ".join(inputs))
    return kept


def _check_size(counts: IntArray, what: str) -> None:
    """Raise InputError if counts (…, width) are of too few sentences."""
    labels = counts.shape[-1] - width(0)
    if (found := int(counts[..., :labels].sum())) < FEWEST_SENTENCES:
        raise InputError(
            f"{what}: {counted(found, 'sentence')}; a comparison needs {FEWEST_SENTENCES}",
            "Name more text, or with --reference other sentences to compare with.",
        )


def _profiles(
    records: Iterable[Record], classifier: Classifier
) -> Iterator[tuple[Record, IntArray]]:
    """Yield each labelled record with its counts."""
    # The tokens are those of a cascade's first model, which reads every sentence.
    bundle = next(iter(classifier.bundle.stages), classifier.bundle)
    path = bundle.folder / "tokenizer.json"
    tokenizer = load_tokenizer(path, max_length=bundle.manifest.max_length)
    unknown = unknown_id(path)
    normalize = NORMALIZERS[bundle.manifest.normalizer.name].apply
    remaining = (record for record in records if record.label is not None)
    while chunk := list(islice(remaining, CHUNK)):
        tokens = tokenize(tokenizer, [normalize(record.text) for record in chunk])
        for record, item in zip(chunk, tokens, strict=True):
            if record.model != classifier.model:
                raise InputError(
                    f"{record.doc_id}: was labelled by {record.model}, not by {classifier.model}",
                    "Name the model that labelled it with --model, or label the archive again.",
                )
            shares = np.array(list(record.probabilities.values()))
            # As `rasd export` counts: a truncated sentence is uncertain only by its probability.
            certain = bool(shares.max() >= classifier.bundle.manifest.threshold)
            yield record, profile(shares, item.ids, unknown, certain=certain)


def _table(changes: list[Change]) -> str:
    """Return one line per measure and the verdict."""
    lines = [f"{'':15} change  95 % interval     tolerated"]
    for change in changes:
        interval = f"{change.low:6.3f} to {change.high:6.3f}"
        lines.append(
            f"{change.name:15} {change.value:6.3f}  {interval}  {change.tolerance:9.3f}"
            f"{'  DUE' if change.due else ''}"
        )
    due = [change for change in changes if change.due]
    if due:
        lines.append(f"Retraining is due: {', '.join(change.name for change in due)}.")
    else:
        lines.append("Retraining is not due.")
    return "\n".join(lines) + "\n"
