"""From documents to sentences to records: the one way, for the command, the service and Python."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from serving.records import Document, Prediction, Record, Refusal, Sentence

# Sentences that are classified together: enough to sort them by length, few enough to hold.
CHUNK = 512

Splitter = Callable[[str], Iterable[Sentence]]


class Scorer(Protocol):
    """What labels sentences: a `Classifier`, or what answers in its place."""

    @property
    def model(self) -> str:
        """The name and version that records carry."""

    def split(self, document: str) -> Iterable[Sentence]:
        """Yield the sentences of a document, none longer than the model reads if that can be."""

    def classify(self, sentences: Sequence[str]) -> list[Prediction | Refusal]:
        """Return one answer per sentence, in the order given."""


@dataclass(frozen=True, slots=True)
class Task:
    """A sentence to label: number `number`, from 0, of its document."""

    document: Document
    number: int
    sentence: Sentence


def classify_documents(
    documents: Iterable[Document | str],
    classifier: Scorer,
    *,
    split: Splitter | None = None,
) -> Iterator[Record]:
    """Yield the record of every sentence, in order; documents are read as they are needed.

    The id of a document given as a string is its position, from "0". A document without text has no
    records. The classifier splits them; with `split=whole` each text is one sentence. Raises
    TypeError if `documents` is one string.
    """
    if isinstance(documents, str):
        raise TypeError("classify_documents takes several documents; this is one string")
    numbered = (
        Document(str(position), item) if isinstance(item, str) else item
        for position, item in enumerate(documents)
    )
    for chunk in label(tasks(numbered, split or classifier.split), classifier, CHUNK):
        yield from chunk


def tasks(documents: Iterable[Document], split: Splitter) -> Iterator[Task]:
    """Yield the sentences of documents in order, as they are found."""
    for document in documents:
        for number, sentence in enumerate(split(document.text)):
            yield Task(document, number, sentence)


def label(tasks: Iterable[Task], classifier: Scorer, size: int) -> Iterator[list[Record]]:
    """Yield the records of every `size` tasks; no task is taken before its chunk is asked for."""
    remaining = iter(tasks)
    while chunk := list(islice(remaining, size)):
        answers = classifier.classify([task.sentence.text for task in chunk])
        yield list(answered(chunk, answers, classifier.model))


def answered(
    tasks: Iterable[Task], answers: Iterable[Prediction | Refusal], model: str
) -> Iterator[Record]:
    """Yield the record of each task with its answer; `model` is what records carry."""
    for task, answer in zip(tasks, answers, strict=True):
        yield Record.of(task.document, task.number, task.sentence, answer, model=model)


def whole(text: str) -> list[Sentence]:
    """Return a text as one sentence: the splitter for what is split already."""
    return [Sentence(text, 0, len(text))]
