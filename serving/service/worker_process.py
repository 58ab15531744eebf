"""A worker process: LitServe's loop, fed by a pipe instead of LitServe's shared queues.

LitServe's queues live in a manager process. A worker that is killed while it waits on them takes
the next request with it, and nobody can look into them or take a request back. Here each worker
has a pipe of its own: it holds the requests in hand, the rest wait in the HTTP process, and its end
is seen at once, by both sides. What LitServe takes for one request are several, scored together.

Nothing heavy is imported before the process has been started: `rasd serve` starts its workers
first and imports its own half while they load.
"""

import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from serving.service.messages import Failed, Ready, Work


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker serves, and how: the bundle, its threads, the sentences of one request."""

    folder: Path
    threads: int
    max_sentences: int


class WorkerLink:
    """A worker's end of its pipe, in the three roles that LitServe's loop knows.

    It is the queue of requests (`get`), the way of the answers (`send`), and the table of who is
    ready (item assignment). Answers are `(status, content)` with the status of LitServe's own.
    """

    def __init__(self, connection: Connection) -> None:
        """Take the worker's end of a pipe."""
        self._connection = connection

    def get(self, timeout: float | None = None) -> tuple[int, str, float, list[Work]]:  # noqa: ARG002
        """Return the next requests in LitServe's form; end the process when the pipe is closed.

        The time-out is not needed: a closed pipe wakes the worker.
        """
        try:
            return 0, "", 0.0, self._connection.recv()
        except (EOFError, OSError):
            raise SystemExit(0) from None

    def send(self, item: tuple[str, tuple[Any, ...]], consumer_id: int) -> None:  # noqa: ARG002
        """Send what LitServe's loop made of the requests."""
        content, status = item[1][:2]
        self._write((status, content))

    def __setitem__(self, worker: str, status: str) -> None:
        """Take LitServe's word that the worker is set up; `report` has said more already."""

    def report(self, news: Ready | Failed) -> None:
        """Tell how loading went."""
        self._write(news)

    def _write(self, message: object) -> None:
        try:
            self._connection.send(message)
        except OSError:  # the HTTP process is gone, and so is the reason to work
            raise SystemExit(0) from None


def run_worker(connection: Connection, options: WorkerOptions, number: int) -> None:
    """Be worker `number` until the pipe is closed: the target of its process."""
    # Ctrl+C and `systemctl stop` signal the whole group, but the HTTP process still wants the
    # answers: it closes the pipe when it has them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from litserve.callbacks import CallbackRunner
    from litserve.loops import inference_worker

    from serving.service.litserve_api import LabelAPI
    from serving.service.logs import configure_logs

    configure_logs()
    link = WorkerLink(connection)
    api = LabelAPI(options, link)
    inference_worker(api, "cpu", number, link, link, link, CallbackRunner(), False)


def are_answers(message: object) -> bool:
    """Tell whether a worker's message holds an Answer a request, and not its loop's failure."""
    return isinstance(message, tuple) and isinstance(message[1], list)
