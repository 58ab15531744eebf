"""The target of a worker process: its signals and its logs, then LitServe's worker.

Nothing heavy is imported before the process has started: `rasd serve` starts its workers first and
imports its own half while they load.
"""

import signal
from multiprocessing.connection import Connection

from serving.service.messages import WorkerOptions


def run_worker(connection: Connection, options: WorkerOptions, number: int) -> None:
    """Be worker `number` until the pipe is closed."""
    # Ctrl+C and `systemctl stop` signal the whole process group, but the HTTP process still needs
    # the answers: it closes the pipe when it has them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from serving.service.litserve_api import work
    from serving.service.logs import configure_logs

    configure_logs()
    work(connection, options, number)
