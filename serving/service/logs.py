"""Structured logs: one JSON object per line on stdout. They never contain submitted text.

Logging never blocks: a thread writes the lines. When nobody reads stdout, or its disk is full,
lines are dropped and counted, and requests are answered as before.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from select import PIPE_BUF
from threading import Thread
from typing import Any

# Lines that may wait for a slow reader.
MAX_LINES = 2000
# Seconds for which lines are gathered. Waking the thread for each would cost a request some 2 % of
# its time.
GATHER = 0.05
# Seconds to wait for them at exit.
LAST_LINES = 1.0

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """A log record as a JSON object: time, level, logger, message, and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {k: v for k, v in vars(record).items() if k not in _STANDARD and v is not None}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class LineWriter(logging.Handler):
    """Writes log lines to a file descriptor without ever making its caller wait."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor; `dropped` counts the lines that were not written."""
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._lines: Queue[bytes] = Queue(MAX_LINES)
        self.setFormatter(JsonFormatter())
        Thread(target=self._write, name="logs", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one line to the thread, or drop it."""
        try:
            line = self.format(record) + "\n"
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace"))
        except Full:
            self.dropped += 1
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Give the thread a moment to write what waits."""
        end = time.monotonic() + LAST_LINES
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(0.005)

    def _write(self) -> None:
        reported = 0
        while True:
            lines = [self._lines.get()]
            time.sleep(GATHER)
            try:
                while True:
                    lines.append(self._lines.get_nowait())
            except Empty:
                pass
            for part in _in_parts(lines):
                try:
                    self._write_all(b"".join(part))
                except OSError:
                    self.dropped += len(part)
            if self.dropped > reported:
                with suppress(OSError):
                    self._write_all(self._report(self.dropped))
                    reported = self.dropped
            for _ in lines:
                self._lines.task_done()

    def _write_all(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]

    def _report(self, dropped: int) -> bytes:
        record = logging.LogRecord(
            "rasd.logs", logging.WARNING, "", 0, "log lines were dropped", None, None
        )
        record.dropped = dropped
        return f"{self.format(record)}\n".encode()


def _in_parts(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines in parts that a pipe takes whole: workers write to the same one."""
    part: list[bytes] = []
    for line in lines:
        if part and sum(map(len, part)) + len(line) > PIPE_BUF:
            yield part
            part = []
        part.append(line)
    yield part


def configure_logs() -> LineWriter:
    """Write all log records to stdout in this form; libraries log warnings and errors only."""
    # Python has no stdout if the service was started with it closed.
    stdout = sys.stdout.fileno() if sys.stdout else os.open(os.devnull, os.O_WRONLY)
    handler = LineWriter(stdout)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("rasd").setLevel(logging.INFO)
    # LitServe installs its own handler.
    litserve = logging.getLogger("litserve")
    litserve.handlers.clear()
    litserve.propagate = True
    litserve.setLevel(logging.WARNING)
    return handler
