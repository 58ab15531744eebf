"""The target of a worker process: its signals and its logs, then LitServe's worker.

Nothing heavy is imported before the process has started: `rasd serve` starts its workers first and
imports its own half while they load.
"""

import signal
from multiprocessing.connection import Connection

from serving.parent import end_with_parent
from serving.service.messages import WorkerOptions


def run_worker(connection: Connection, options: WorkerOptions, number: int) -> None:
    """Be worker `number` until the pipe is closed or the HTTP process is gone."""
    end_with_parent()
    # Ctrl+C, `systemctl stop` and a reload may signal the whole process group, but the HTTP process
    # still needs the answers: it closes the pipe when it has them.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    from serving.service.litserve_api import work
    from serving.service.logs import configure_logs

    configure_logs()
    work(connection, options, number)
