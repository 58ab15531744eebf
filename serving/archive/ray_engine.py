"""The engine for a Ray cluster: a task per slice, the same parts as on one machine.

Every node reads the input and writes the parts under the same paths (a shared file system), and has
`rasd` installed. A task that dies with its worker is run again, from its slice's first unfinished
part on. Pending tasks are what Ray's autoscaler looks at.
"""

import logging
import os
import pickle
import socket
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path

from serving.archive.labeller import Job, Labeller
from serving.archive.parts import PartSummary
from serving.archive.plan import Slice
from serving.classifier import Classifier
from serving.errors import InputError, RasdError
from serving.progress import SentenceProgress

# Tasks that Ray knows of at once: enough for the autoscaler to see what is wanted.
PENDING = 1000


def on_ray(
    job: Job,
    classifier: Classifier,
    slices: Sequence[Slice],
    progress: SentenceProgress,
    *,
    address: str | None,
) -> Generator[PartSummary]:
    """Yield the parts as tasks finish them, in any order.

    `address` is that of a running cluster; None starts one on this machine. Raises InputError when
    Ray is not installed or cannot be reached, or for standard input; and what a task raises.
    """
    if any(source.place is None for sources in slices for source in sources):
        raise InputError(
            "--engine ray cannot read standard input",
            "Write it to a file that every node can read.",
        )
    if address:
        _check_address(address)
    # Ray reports its use to its makers unless this is set before it starts.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(
            "--engine ray needs Ray, which is not installed",
            "Install it with: pip install 'rasd[ray]'",
        ) from error
    try:
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray raises plain ones, for example after 30 s on a busy machine
        raise RasdError(
            f"Ray did not start: {' '.join(str(error).split())}",
            "Repeat the command to try again.",
        ) from error
    # A worker process has a single thread for its model: cores never wait for each other.
    task = ray.remote(num_cpus=1, max_retries=-1)(_label_slice)
    model = classifier.bundle.folder
    packed = pickle.dumps(job)  # the same bytes for every task, by which a worker knows its model
    waiting = iter(enumerate(slices))
    pending: dict[object, int] = {}
    position = 0
    try:
        while True:
            while len(pending) < PENDING and (following := next(waiting, None)):
                number, sources = following
                pending[task.remote(packed, model, number, sources, os.getcwd())] = number  # noqa: PTH109
            if not pending:
                return
            done, _ = ray.wait(list(pending))
            number = pending.pop(done[0])
            outcome = ray.get(done[0])
            if isinstance(outcome, RasdError):
                raise outcome
            position += sum(source.work for source in slices[number])
            progress.update(sum(part.sentences for part in outcome), position)
            yield from outcome
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise InputError where nobody answers: Ray itself tries for minutes, in many lines."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"--ray-address {address}: cannot be reached ({error})",
            "Name a running cluster as HOST:PORT; `ray status` shows it.",
        ) from error


def _label_slice(
    job: bytes, model: Path, number: int, sources: Slice, folder: str
) -> list[PartSummary] | RasdError:
    """Label one slice on a worker; return the error that the driver is to raise."""
    os.chdir(folder)  # relative paths mean what they mean to the driver
    try:
        return list(_labeller(job, model).label([(number, sources)]))
    except RasdError as error:
        return error


@cache
def _labeller(job: bytes, model: Path) -> Labeller:
    """Load the model once in a worker process."""
    return Labeller(pickle.loads(job), Classifier.load(model, threads=1))
