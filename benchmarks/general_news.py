"""How often a label is right on ordinary news, most of which is not about violence.

    python benchmarks/general_news.py TEXT [TEXT ...] --model default fast cascade

The models label the sentences of `data/general_news.tsv.gz` that TEXT holds: 2,955 sentences drawn
at random from archives of news, given there by their SHA-256 only. Those to which `default` or a
version of `fast` gave another label than `other` were read without knowing which, and labelled
under `data/GUIDELINES.md`, with a second label where it was nearly as good. So the table tells how
many of the named sentences are right, not how many were missed. A model that names a sentence which
nobody has read is told so.
"""

import argparse
import gzip
import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from serving.classifier import Classifier
from serving.files.documents import DocumentStream
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.records import Prediction
from serving.text.normalize import NORMALIZERS
from serving.text.sentences import split_sentences

TABLE = Path(__file__).parents[1] / "data" / "general_news.tsv.gz"
NORMALIZE = NORMALIZERS["light"].apply
OTHER = "other"

# The labels of a sentence, the best first; none if nobody has read it.
Read = dict[str, tuple[str, ...]]


def main() -> None:
    """Print a row for each model, and one for each of its labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", nargs="+", help="files or folders that hold the sentences")
    parser.add_argument("--model", nargs="+", default=["default", "fast"])
    options = parser.parse_args()
    read = {key: labels for key, *labels in table()}
    found = texts(options.text, read)
    if not found:
        parser.error("these files hold no sentence of the table")
    print(f"{len(found):,} of {len(read):,} sentences found\n")
    print("| model, label | named | share | right | right or second best | of the certain ones |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in options.model:
        model = Classifier.load(name)
        answers = dict(zip(found, model.classify(list(found.values())), strict=True))
        named = {key: answer for key, answer in answers.items() if is_named(answer)}
        unread = [key for key in named if not read[key]]
        for label in (None, *model.bundle.scheme.names):
            if label != OTHER:
                row(f"{name}, {label or 'all'}", named, read, label, len(found))
        if unread:
            print(f"\n{len(unread)} sentences named by {name} were not read and are left out.\n")


def is_named(answer: object) -> bool:
    """Tell whether a model gave a label other than `other`."""
    return isinstance(answer, Prediction) and answer.label != OTHER


def row(name: str, named: dict[str, Prediction], read: Read, label: str | None, drawn: int) -> None:
    """Print how many of the named sentences that somebody has read are right."""
    ours = {k: a for k, a in named.items() if read[k] and label in (None, a.label)}
    count = Counter[str]()
    for key, answer in ours.items():
        best, *_ = read[key]
        count["right"] += answer.label == best
        count["second"] += answer.label in read[key]
        count["certain"] += answer.certain
        count["both"] += answer.certain and answer.label == best
    if ours:
        print(
            f"| {name} | {len(ours)} | {len(ours) / drawn:.3f} | {count['right'] / len(ours):.3f} "
            f"| {count['second'] / len(ours):.3f} | {count['both']} of {count['certain']} |"
        )


def table() -> Iterable[list[str]]:
    """Yield the key of each drawn sentence, and its labels if it was read."""
    with gzip.open(TABLE, "rt", encoding="utf-8") as stream:
        next(stream)
        for line in stream:
            yield [value for value in line.rstrip("\n").split("\t") if value]


def texts(files: list[str], read: Read) -> dict[str, str]:
    """Return the sentences of the table that the files hold."""
    found = {}
    for document in DocumentStream(find_sources(files), ReadOptions()):
        for sentence in split_sentences(document.text):
            key = hashlib.sha256(NORMALIZE(sentence.text).encode()).hexdigest()[:16]
            if key in read:
                found[key] = sentence.text
    return found


if __name__ == "__main__":
    main()
