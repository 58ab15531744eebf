"""Slices to their parts: what every engine does with slices, on whatever machine."""

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from serving.archive.ahead import ahead
from serving.archive.cache import CachedClassifier
from serving.archive.outputs import Output
from serving.archive.partitions import PartitionWriter
from serving.archive.parts import PartKey, Parts, PartSummary
from serving.archive.plan import Slice
from serving.archive.reading import Batch, Reader
from serving.files.fields import ReadOptions
from serving.files.writers import Writer
from serving.labelling import Scorer, answered
from serving.records import Prediction, Refusal


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


@dataclass(frozen=True, slots=True)
class _Answered:
    """A batch with the answers to its sentences, and how many of them came from the cache."""

    batch: Batch
    answers: list[Prediction | Refusal]
    repeats: int


class Labeller:
    """A loaded model that labels slices: three threads read, score and write at the same time."""

    def __init__(
        self,
        job: Job,
        classifier: Scorer,
        on_batch: Callable[[int, float], object] = lambda *_: None,
    ) -> None:
        """Take the model of the job. `on_batch` gets new sentences and the work done so far."""
        self._job = job
        self._classifier = CachedClassifier(classifier, job.cache)
        self._parts = Parts(job.folder, job.output.suffix, partitioned=job.partitioned)
        self._reader = Reader(
            job.read,
            self._parts,
            classifier.split,
            strict=job.strict,
            partition_by=job.output.partition_by,
        )
        self._on_batch = on_batch

    def label(self, slices: Iterable[tuple[int, Slice]]) -> Iterator[PartSummary]:
        """Finish numbered slices, each from its first unfinished part on; yield parts as they end.

        Raises InputError at the first bad record of a strict job, RasdError on a full disk.
        """
        with closing(ahead(self._answered(slices))) as batches:
            for first in batches:
                with self._parts.writing(first.batch.part) as files:
                    writer = self._job.writer(files.data, first.batch.part)
                    repeats = 0
                    for item in _up_to_end(first, batches):
                        writer.write(
                            answered(item.batch.tasks, item.answers, self._classifier.model)
                        )
                        files.rejects.write(item.batch.rejected)
                        repeats += item.repeats
                        self._on_batch(len(item.answers), item.batch.position)
                    writer.close()
                    assert item.batch.summary
                    files.summary = dataclasses.replace(item.batch.summary, repeats=repeats)
                yield files.summary

    def _answered(self, slices: Iterable[tuple[int, Slice]]) -> Generator[_Answered]:
        known = self._classifier
        with closing(ahead(self._reader.read(slices))) as batches:
            for batch in batches:
                before = known.repeats
                answers = known.classify([task.sentence.text for task in batch.tasks])
                yield _Answered(batch, answers, known.repeats - before)


def _up_to_end(first: _Answered, following: Iterator[_Answered]) -> Iterator[_Answered]:
    """Yield the batches of the part that begins with `first`."""
    while not first.batch.summary:
        yield first
        first = next(following)
    yield first
