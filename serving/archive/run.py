"""`rasd classify -o`: label every slice, keep what is finished, and join it at the end."""

import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from serving.archive.labeller import Job, Labeller
from serving.archive.parts import Parts, PartSummary
from serving.archive.plan import Slice, plan
from serving.atomic import atomic_file
from serving.errors import InputError, RasdError
from serving.files.sources import Source

# A share of rejected records is judged once there are this many: one of three proves nothing.
JUDGED_FROM = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """How many records may be set aside: a `count`, or a `share` of those that were read."""

    count: int | None = None
    share: float = 0.01

    def check(self, total: PartSummary, *, ended: bool) -> None:
        """Raise InputError when too many were set aside; at the end also when all were."""
        if not total.rejection:
            return
        if self.count is not None:
            over = total.rejected > self.count
        else:
            over = total.records >= JUDGED_FROM and total.rejected > self.share * total.records
        useless = total.rejected == total.records and (ended or total.records >= JUDGED_FROM)
        problem, remedy = total.rejection
        if useless:
            raise InputError(problem, remedy)
        if over:
            raise InputError(
                f"{total.rejected:,} of {total.records:,} records were set aside, more than "
                f"--max-rejected {self}; the first: {problem}",
                f"{remedy} Or allow more with --max-rejected and repeat the command to continue.",
            )

    def __str__(self) -> str:
        """Return the option's value."""
        return f"{self.share:.4g}" if self.count is None else str(self.count)


class Stopped(RasdError):  # noqa: N818 - it is no error of anyone
    """A signal ended the run after the part in hand."""

    def __init__(self, number: int, folder: Path) -> None:
        """Take the signal's number, which gives the exit code."""
        super().__init__(
            f"stopped; what is finished is in {folder}\nRepeat the command to continue."
        )
        self.exit_code = 128 + number


class StopSignal:
    """Set by the first SIGINT or SIGTERM; a second one ends the process at once."""

    number: int | None = None

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
        self.number = number
        signal.signal(number, signal.SIG_DFL)
        sys.stderr.write("rasd: finishing the part in hand; once more ends at once\n")


def run_archive(
    job: Job,
    sources: Sequence[Source],
    output: Path,
    *,
    identity: dict[str, Any],
    limit: Limit,
    restart: bool,
    join: Callable[[Iterable[Path], Path], None] | None,
) -> PartSummary:
    """Label `sources` into parts, and `join` them to the file `output` unless that is None.

    The same call continues a run that was ended, to the same bytes; with another `identity` it is
    refused unless `restart`. Raises InputError for that and for too many rejected records, Stopped
    after a signal. Rejected records end up in `output` with the suffix `.rejected.jsonl`.
    """
    parts = Parts(job.folder, job.suffix)
    with parts.locked():
        if restart or any(source.path is None for source in sources):
            parts.clear()
        if parts.claim(identity):
            sys.stderr.write(f"rasd: continuing the run in {job.folder}\n")
        slices = plan(sources, lines=job.read.unit == "sentence")
        stop = StopSignal()
        try:
            with stop.watched():
                total = _label(job, parts, slices, limit, stop)
        except InputError:
            if not parts.total().sentences:
                shutil.rmtree(job.folder)  # nothing was labelled, so there is nothing to continue
            raise
        _collect_rejected(parts, output.with_name(f"{output.name}.rejected.jsonl"))
        if join:
            join([parts.data(key) for key in parts.finished_keys()], output)
            shutil.rmtree(job.folder)
    return total


def _label(
    job: Job, parts: Parts, slices: Sequence[Slice], limit: Limit, stop: StopSignal
) -> PartSummary:
    total = parts.total()
    labeller = Labeller(job)
    for number, sources in enumerate(slices):
        for part in labeller.label(number, sources):
            total += part
            limit.check(total, ended=False)
            if stop.number:
                raise Stopped(stop.number, job.folder)
    limit.check(total, ended=True)
    return total


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
