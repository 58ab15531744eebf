"""`rasd classify INPUT --check`: what the input holds and every problem in it, without a model."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from serving.errors import Problem
from serving.files.documents import read_documents
from serving.files.fields import ReadOptions
from serving.files.rows import unreadable
from serving.files.sources import Source
from serving.records import Document
from serving.terminal import counted, shown
from serving.text.sentences import split_sentences

# Names of fields that are listed; files of many shapes have more.
_FIELDS = 40


def check(sources: Sequence[Source], options: ReadOptions) -> int:
    """Print every problem, then what would be labelled; return 2 if there was a problem, else 0.

    Sentences are counted before those too long for the model are cut into clauses.
    """
    documents: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    sentences = problems = 0
    for source in sources:
        kind = source.kind or "standard input"
        for item in _items(source, options):
            if isinstance(item, Document):
                documents[kind] += 1
                sentences += 1 if options.unit == "sentence" else len(split_sentences(item.text))
                notes.update(item.notes)
                fields.update(item.metadata.keys())
            elif item.warning:
                notes[item.what] += 1
            else:
                problems += 1
                _say(f"{item}. {item.remedy}")
    files = Counter(source.kind or "standard input" for source in sources)
    found = ((documents.total(), "document"), (sentences, "sentence"), (problems, "problem"))
    _say(", ".join(counted(number, noun) for number, noun in found))
    for kind, count in sorted(files.items()):
        _say(f"{kind}: {counted(count, 'file')}, {counted(documents[kind], 'document')}")
    if fields:
        names = [f"{name} ({count:,})" for name, count in fields.most_common(_FIELDS)]
        _say(f"other fields: {', '.join(names)}")
    for note, count in sorted(notes.items()):
        _say(f"{note}: {count:,}")
    return 2 if problems else 0


def _items(source: Source, options: ReadOptions) -> Iterator[Document | Problem]:
    try:
        with source.open() as file:
            yield from read_documents(source, file, options)
    except OSError as error:
        yield unreadable(source, error)


def _say(line: str) -> None:
    sys.stdout.buffer.write(shown(line).encode() + b"\n")
