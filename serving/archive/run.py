"""A run: label every slice, keep what is finished, and join it at the end."""

import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from serving.archive.labeller import Job, Labeller
from serving.archive.limit import Limit
from serving.archive.parts import Parts, PartSummary, rejected_file
from serving.archive.plan import Slice, plan
from serving.atomic import atomic_file
from serving.classifier import Classifier
from serving.errors import InputError, RasdError
from serving.files.sources import Source
from serving.progress import SentenceProgress
from serving.terminal import tell


class Stopped(RasdError):  # noqa: N818 - nothing went wrong
    """A signal ended the run after the part in hand."""

    def __init__(self, number: int, folder: Path) -> None:
        """Take the signal's number, which gives the exit code."""
        super().__init__(
            f"stopped; what is finished is in {folder}", "Repeat the command to continue."
        )
        self.exit_code = 128 + number


class StopSignal:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once.

    What standard input gave cannot be read again, so such a run (`lost` are its parts) ends with
    the first signal and leaves nothing.
    """

    def __init__(self, lost: Parts | None = None) -> None:
        """Note no signal yet."""
        self.number: int | None = None
        self._lost = lost

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take the two signals inside the block."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._note) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self._lost:
            self._lost.discard()
            os._exit(128 + number)  # a thread may be waiting for input that never comes
        self.number = number
        signal.signal(number, signal.SIG_DFL)
        tell("finishing the part in hand; once more ends at once")


# What labels slices: it yields every part that it has finished.
Engine = Callable[[Job, Classifier, Sequence[Slice], SentenceProgress], Generator[PartSummary]]


@dataclass(frozen=True, slots=True)
class Archive:
    """A run: what to label, into which parts, and what to do with them.

    `identity` is what must be the same for a run to be continued. `target` is the file that the
    parts become, or None where they stay.
    """

    job: Job
    sources: Sequence[Source]
    identity: dict[str, Any]
    limit: Limit
    restart: bool
    target: Path | None

    def run(self, classifier: Classifier, engine: Engine, *, progress_visible: bool) -> PartSummary:
        """Label everything and return the sums of all parts.

        The same run continues what was ended, to the same bytes; it is refused where the parts are
        of another one. Raises InputError for that and for too many rejected records, Stopped after
        a signal, RasdError where nothing can be written.
        """
        try:
            return self._run(classifier, engine, progress_visible=progress_visible)
        except OSError as error:
            raise RasdError(
                f"{self.target or self.job.folder}: cannot be written: {error.strerror}",
                "Check the name and the disk; what is finished is kept for the same command.",
            ) from error

    def _run(
        self, classifier: Classifier, engine: Engine, *, progress_visible: bool
    ) -> PartSummary:
        parts = Parts(self.job.folder, self.job.output.suffix, partitioned=self.job.partitioned)
        with parts.locked():
            if self.restart:
                parts.clear()
            elif not self._readable_again and parts.begun():
                raise InputError(
                    f"{self.job.folder}: holds another run, which standard input cannot continue",
                    "Start over with --restart, or name another output.",
                )
            if parts.claim(self.identity):
                tell(f"continuing the run in {self.job.folder}")
            try:
                self._label(classifier, engine, parts, progress_visible=progress_visible)
                total = parts.total()
                self.limit.check(total, ended=True)
            except InputError:
                if not self._readable_again or not parts.total().sentences:
                    parts.discard()  # there is nothing to continue
                raise
            _collect_rejected(parts, rejected_file(self.target or self.job.folder))
            if self.target:
                keys = parts.finished_keys()
                self.job.output.join([parts.data(key) for key in keys], self.target)
                parts.discard()
        return total

    @property
    def _readable_again(self) -> bool:
        return all(source.place for source in self.sources)

    def _label(
        self, classifier: Classifier, engine: Engine, parts: Parts, *, progress_visible: bool
    ) -> None:
        read = self.job.read
        slices = plan(self.sources, lines=read.unit == "sentence", text_fields=read.text_names)
        again = self._readable_again
        size = sum(source.work for sources in slices for source in sources) if again else None
        total, stop = parts.total(), StopSignal(None if again else parts)
        with (
            stop.watched(),
            SentenceProgress(size, visible=progress_visible) as progress,
            closing(engine(self.job, classifier, slices, progress)) as finished,
        ):
            for part in finished:
                total += part
                self.limit.check(total, ended=False)
                if stop.number:
                    raise Stopped(stop.number, self.job.folder)


def here(
    job: Job, classifier: Classifier, slices: Sequence[Slice], progress: SentenceProgress
) -> Generator[PartSummary]:
    """Label the slices in this process, in their order; yield the parts as they end."""
    yield from Labeller(job, classifier, progress.update).label(enumerate(slices))
    # Also where an earlier run has finished the last ones.
    progress.update(0, sum(source.work for sources in slices for source in sources))


def _collect_rejected(parts: Parts, target: Path) -> None:
    """Join what the parts set aside; without any, an older file of that name is removed."""
    files = [path for key in parts.finished_keys() if (path := parts.rejects(key)).stat().st_size]
    if not files:
        target.unlink(missing_ok=True)
        return
    with atomic_file(target) as temporary, temporary.open("wb") as stream:
        for path in files:
            with path.open("rb") as part:
                shutil.copyfileobj(part, stream)
