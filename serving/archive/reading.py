"""The slices of a run to batches of sentences, each of one part."""

import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from serving.archive.partitions import unplaceable, without_value
from serving.archive.parts import PartKey, Parts, PartSummary
from serving.archive.plan import Slice
from serving.errors import Problem, refusal
from serving.files.documents import read_documents
from serving.files.fields import ReadOptions
from serving.files.rows import unreadable
from serving.labelling import Splitter, Task, tasks, whole
from serving.records import Document

# Sentences that are classified together, of whatever documents.
CHUNK = 1024
# A part ends with the document that makes it this long: some 20 s of work for the default model on
# two cores, which is what a crash loses.
PART_SENTENCES = 5000
# Of a record that is set aside; enough to find and mend it, not a whole file.
RAW_CHARACTERS = 2**20
# Bytes of what was set aside that wait for a batch.
REJECTED_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Batch:
    """Sentences of a part that are labelled together, and the lines of what was set aside.

    `position` is how much of the run's work is done once they are. The last batch of a part has its
    `summary`, which does not know repeats yet.
    """

    part: PartKey
    tasks: list[Task]
    rejected: bytes
    position: float
    summary: PartSummary | None = None


class Reader:
    """Reads slices, each from its first unfinished part on."""

    def __init__(
        self,
        options: ReadOptions,
        parts: Parts,
        split: Splitter,
        *,
        strict: bool,
        partition_by: str | None,
    ) -> None:
        """Take how to read and split; if `strict`, the first bad record is an error.

        Documents without a value of the field `partition_by` are noted.
        """
        self._options = options
        self._parts = parts
        self._split = whole if options.unit == "sentence" else split
        self._strict = strict
        self._partition_by = partition_by

    def read(self, slices: Iterable[tuple[int, Slice]]) -> Generator[Batch]:
        """Yield the batches of numbered slices. Raises InputError at a bad record if strict."""
        before = 0
        for number, sources in slices:
            finished = self._parts.of_slice(number)
            if not (finished and finished[-1].last):
                documents = _Documents(sources, self._options, before)
                documents.skip(sum(part.records for part in finished))
                key = PartKey(number, len(finished))
                # A slice without records has a part too, with what every file of its format has.
                yield from self._part(key, documents)
                while not documents.ended:
                    key = PartKey(number, key.number + 1)
                    yield from self._part(key, documents)
            before += sum(source.work for source in sources)

    def _part(self, key: PartKey, documents: "_Documents") -> Iterator[Batch]:
        """Yield the batches of one part, up to the end of the document that fills it."""
        found = _Found(self._partition_by)
        chunk: list[Task] = []
        for item in map(self._placed, documents):
            if isinstance(item, Problem) and self._strict and not item.warning:
                raise refusal([item])
            for task in tasks(found.take(item), self._split):
                chunk.append(task)
                if len(chunk) == CHUNK:
                    yield found.batch(key, chunk, documents.position)
                    chunk = []
            if len(found.rejects) >= REJECTED_BYTES:
                yield found.batch(key, [], documents.position)
            if found.sentences + len(chunk) >= PART_SENTENCES:
                break
        yield found.batch(key, chunk, documents.position, last=documents.ended)

    def _placed(self, item: Document | Problem) -> Document | Problem:
        """Return the item, or the problem of a document that no folder can be named after."""
        if self._partition_by and isinstance(item, Document):
            return unplaceable(self._partition_by, item) or item
        return item


class _Documents:
    """The documents and problems of a slice; `ended` is true once there are no more."""

    def __init__(self, sources: Slice, options: ReadOptions, before: int) -> None:
        """Take a slice that has `before` bytes of work before it."""
        self.position = float(before)
        self._items = self._read(sources, options, before)
        self._next = next(self._items, None)
        self.ended = self._next is None

    def skip(self, records: int) -> None:
        """Pass over what earlier parts hold."""
        while records and (item := next(self, None)):
            records -= not (isinstance(item, Problem) and item.warning)

    def __iter__(self) -> "_Documents":
        return self

    def __next__(self) -> Document | Problem:
        item = self._next
        if item is None:
            raise StopIteration
        self._next = next(self._items, None)
        self.ended = self._next is None
        return item

    def _read(
        self, sources: Slice, options: ReadOptions, before: int
    ) -> Iterator[Document | Problem]:
        for source in sources:
            try:
                with source.open() as file:
                    for item in read_documents(source, file, options):
                        if source.place:  # standard input has no position
                            self.position = before + file.tell() * source.expansion
                        yield item
            except OSError as error:
                yield unreadable(source, error)
            before += source.work
        self.position = before


class _Found:
    """What one part holds, added up; `rejects` are the lines of what no batch has yet."""

    def __init__(self, partition_by: str | None) -> None:
        self.sentences = 0
        self.rejects = b""
        self._partition_by = partition_by
        self._records = 0
        self._rejected = 0
        self._rejection: tuple[str, str] | None = None
        self._notes: Counter[str] = Counter()

    def take(self, item: Document | Problem) -> list[Document]:
        """Count an item; return it if it is a document."""
        self._records += isinstance(item, Document) or not item.warning
        if isinstance(item, Document):
            self._notes.update(item.notes)
            if self._partition_by:
                self._notes.update(without_value(self._partition_by, item))
            return [item]
        if item.warning:
            self._notes[item.what] += 1
        else:
            self._rejected += 1
            self._rejection = self._rejection or (str(item), item.remedy)
            if item.whole_file:
                self._notes["bad, so nothing more of its file was read"] += 1
            self.rejects += _rejected_line(item)
        return []

    def batch(
        self, key: PartKey, tasks: list[Task], position: float, *, last: bool | None = None
    ) -> Batch:
        """Return the next batch; `last` is given with a part's last one, and is its slice's."""
        self.sentences += len(tasks)
        rejects, self.rejects = self.rejects, b""
        if last is None:
            return Batch(key, tasks, rejects, position)
        summary = PartSummary(
            self._records,
            self._rejected,
            self.sentences,
            0,
            last,
            self._rejection,
            dict(self._notes),
        )
        return Batch(key, tasks, rejects, position, summary)


def _rejected_line(problem: Problem) -> bytes:
    # `where` has the file's name, then the line, which also has a field of its own.
    entry = {
        "where": problem.where,
        "line": problem.line,
        "reason": problem.what,
        "remedy": problem.remedy,
        "raw": problem.raw[:RAW_CHARACTERS],
    }
    line = json.dumps(entry, ensure_ascii=False) + "\n"
    return line.encode("utf-8", errors="backslashreplace")
