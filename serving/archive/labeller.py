"""One slice to its parts: what every engine does with a slice, on whatever machine."""

import json
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from serving.archive.cache import CachedClassifier
from serving.archive.outputs import Output
from serving.archive.partitions import PartitionWriter
from serving.archive.parts import PartFiles, PartKey, Parts, PartSummary
from serving.archive.plan import Slice
from serving.errors import Problem, refusal
from serving.files.documents import read_documents
from serving.files.fields import ReadOptions
from serving.files.rows import unreadable
from serving.files.writers import Writer
from serving.labelling import Scorer, Splitter, Task, label, tasks, whole
from serving.records import Document

# Sentences that are classified together, of whatever documents.
CHUNK = 1024
# A part ends with the document that makes it this long: some 20 s of work for the default model on
# two cores, which is what a crash loses.
PART_SENTENCES = 5000
# Of a record that is set aside; enough to find and mend it, not a whole file.
RAW_CHARACTERS = 2**20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine must know besides the plan; it can be sent to another process."""

    read: ReadOptions
    folder: Path
    output: Output
    cache: int
    strict: bool

    @property
    def partitioned(self) -> bool:
        """Whether parts are split by the values of a carried field."""
        return self.output.partition_by is not None

    def writer(self, stream: BinaryIO, key: PartKey) -> Writer:
        """Return the writer of a part's records, to `stream` or to the folders of partitions."""
        output = self.output
        if output.partition_by is None:
            return output.make_writer(stream)
        name = f"{key}{output.suffix}"
        return PartitionWriter(self.folder, name, output.partition_by, output.make_writer)


class Labeller:
    """A loaded model that labels slices; `on_chunk` gets sentences and bytes as they are done."""

    def __init__(
        self,
        job: Job,
        classifier: Scorer,
        on_chunk: Callable[[int, float], object] = lambda *_: None,
    ) -> None:
        """Take the model of the job. `on_chunk` gets new sentences and the bytes of the slice."""
        self._job = job
        self._classifier = CachedClassifier(classifier, job.cache)
        self._parts = Parts(job.folder, job.output.suffix, partitioned=job.partitioned)
        self._on_chunk = on_chunk

    def label(self, number: int, sources: Slice) -> Iterator[PartSummary]:
        """Finish slice `number`, from its first unfinished part on; yield the parts as they end.

        Raises InputError at the first bad record of a strict job, RasdError on a full disk.
        """
        before = self._parts.of_slice(number)
        if before and before[-1].last:
            return
        documents = _Documents(sources, self._job)
        documents.skip(sum(part.records for part in before))
        key = PartKey(number, len(before))
        while not documents.ended:
            with self._parts.writing(key) as files:
                self._write(documents, files, key)
            yield files.summary
            key = PartKey(number, key.number + 1)

    def _write(self, documents: "_Documents", files: PartFiles, key: PartKey) -> None:
        split = whole if self._job.read.unit == "sentence" else self._classifier.split
        seen, repeats = self._classifier.sentences, self._classifier.repeats
        found = _Found(documents, files.rejects)
        writer = self._job.writer(files.data, key)
        # Reading and splitting go on in a thread while ONNX Runtime computes.
        for chunk in label(ahead(found.tasks(split), CHUNK), self._classifier, CHUNK):
            writer.write(chunk)
            self._on_chunk(len(chunk), documents.position)
        writer.close()
        files.summary = PartSummary(
            found.records,
            found.rejected,
            self._classifier.sentences - seen,
            self._classifier.repeats - repeats,
            documents.ended,
            found.rejection,
            dict(found.notes),
        )


class _Documents:
    """The documents and problems of a slice; `ended` is true once there are no more."""

    def __init__(self, sources: Slice, job: Job) -> None:
        self._items = self._read(sources, job.read)
        self._strict = job.strict
        self.position = 0.0
        self._next = next(self._items, None)
        self.ended = self._next is None

    def skip(self, records: int) -> None:
        """Pass over what earlier parts hold."""
        for _ in range(records):
            next(self, None)

    def __iter__(self) -> "_Documents":
        return self

    def __next__(self) -> Document | Problem:
        item = self._next
        if item is None:
            raise StopIteration
        self._next = next(self._items, None)
        self.ended = self._next is None
        if isinstance(item, Problem) and self._strict and not item.warning:
            raise refusal([item])
        return item

    def _read(self, sources: Slice, options: ReadOptions) -> Iterator[Document | Problem]:
        before = 0
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
    """Turns documents into the sentences of one part, and sets problems aside in `rejects`."""

    def __init__(self, documents: _Documents, rejects: BinaryIO) -> None:
        self._documents = documents
        self._rejects = rejects
        self.records = 0
        self.rejected = 0
        self.rejection: tuple[str, str] | None = None
        self.notes: Counter[str] = Counter()

    def tasks(self, split: Splitter) -> Iterator[Task]:
        """Yield sentences up to the end of the document that fills the part."""
        sentences = 0
        for item in self._documents:
            self.records += 1
            if isinstance(item, Problem):
                self._set_aside(item)
                continue
            self.notes.update(item.notes)
            for task in tasks([item], split):
                sentences += 1
                yield task
            if sentences >= PART_SENTENCES:
                return

    def _set_aside(self, problem: Problem) -> None:
        if problem.warning:
            self.notes[problem.what] += 1
            return
        self.rejected += 1
        self.rejection = self.rejection or (str(problem), problem.remedy)
        # `where` has the file's name, then the line, which also has a field of its own.
        entry = {
            "where": problem.where,
            "line": problem.line,
            "reason": problem.what,
            "remedy": problem.remedy,
            "raw": problem.raw[:RAW_CHARACTERS],
        }
        line = json.dumps(entry, ensure_ascii=False) + "\n"
        self._rejects.write(line.encode("utf-8", errors="backslashreplace"))


def ahead(items: Iterator[T], size: int) -> Iterator[T]:
    """Yield `items`, which a thread takes up to twice `size` ahead.

    What `items` raises is raised here. The thread ends when this generator is closed.
    """
    batches: queue.Queue[list[T] | BaseException] = queue.Queue(maxsize=1)
    closed = threading.Event()

    def put(batch: list[T] | BaseException) -> bool:
        while not closed.is_set():
            try:
                batches.put(batch, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            while put(batch := list(islice(items, size))) and batch:
                pass
        except BaseException as error:  # whatever it is, it belongs to whoever waits for the items
            put(error)

    thread = threading.Thread(target=run, name="reader", daemon=True)
    thread.start()
    try:
        while batch := batches.get():
            if isinstance(batch, BaseException):
                raise batch
            yield from batch
    finally:
        closed.set()
        thread.join()
