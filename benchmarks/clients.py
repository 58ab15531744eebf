"""HTTP clients for the benchmarks of the service, on keep-alive connections.

The clients run in a separate process: they share the cores with the service, as another program
would, but not its interpreter.
"""

import http.client
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Outcome:
    """The result of a run of clients: seconds of each request by status code."""

    wall: float = 0.0
    seconds: dict[int, list[float]] = field(default_factory=dict)

    @property
    def codes(self) -> dict[int, int]:
        """The number of answers per status code; 0 means no answer."""
        return {code: len(values) for code, values in sorted(self.seconds.items())}

    def percentile(self, share: float) -> float:
        """Return this quantile of the latency of 200 answers, in milliseconds."""
        values = sorted(self.seconds.get(200, [float("nan")]))
        return 1000 * values[min(len(values) - 1, int(share * len(values)))]


def load(
    url: str, path: str, bodies: Sequence[bytes], *, clients: int, seconds: float, timeout: float
) -> Outcome:
    """Run `clients` in a closed loop for some seconds, in a separate process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_load, (url + path, list(bodies), clients, seconds, timeout))


def _load(url: str, bodies: list[bytes], clients: int, seconds: float, timeout: float) -> Outcome:
    parts = urlsplit(url)
    path = parts.path
    outcome, lock = Outcome(), threading.Lock()
    begin = time.perf_counter()
    end = begin + seconds

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        turn = number
        while time.perf_counter() < end:
            started = time.perf_counter()
            try:
                connection.request(
                    "POST", path, bodies[turn % len(bodies)], {"Content-Type": "application/json"}
                )
                response = connection.getresponse()
                response.read()
                code = response.status
            except OSError:
                connection.close()
                code = 0
            taken = time.perf_counter() - started
            with lock:
                outcome.seconds.setdefault(code, []).append(taken)
            turn += clients
            if code == 503:
                time.sleep(0.05)  # a client that obeys Retry-After would wait longer

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.wall = time.perf_counter() - begin
    return outcome


@contextmanager
def server(*command: object, ready: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; it is ready when the path `ready` answers 200."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        sys.exit(f"port {port} is in use: another server would be measured")
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(process, port, ready, Path(folder) / "log")
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(40)
            # Processes that a plain LitServe leaves behind keep using the CPU.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], port: int, path: str, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    sys.exit(f"the server did not become ready:\n{log.read_text(errors='replace')}")


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def pss(pid: int) -> float:
    """Return the proportional memory (PSS) of a process and its descendants, in MB."""
    total = 0
    for process in family(pid):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process and its descendants have used."""
    ticks = 0
    for process in family(pid):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def articles(texts: Sequence[str], size: int, count: int) -> list[list[str]]:
    """Return `count` groups of `size` texts, taken in turn."""
    return [[texts[(n * size + k) % len(texts)] for k in range(size)] for n in range(count)]


def encoded(body: Any) -> bytes:
    """Return a JSON body."""
    return json.dumps(body, ensure_ascii=False).encode()


def row(name: str, sentences: int, outcome: Outcome) -> str:
    """Return a line of the table: sentences per second and latencies."""
    answered = len(outcome.seconds.get(200, []))
    others = Counter({k: v for k, v in outcome.codes.items() if k != 200})
    return (
        f"{name:44}{answered * sentences / outcome.wall:8.0f}"
        f"{outcome.percentile(0.5):10.1f}{outcome.percentile(0.95):10.1f}"
        f"{outcome.percentile(0.99):10.1f}   {dict(others) or ''}"
    )
