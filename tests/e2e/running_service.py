"""A real `rasd serve` on a free port of 127.0.0.1, and what a test may ask of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

RASD = Path(sys.executable).with_name("rasd")
_ADDRESS = re.compile(r"is served on (http://\S+) by")
PATIENCE = 60.0


class RunningService:
    """The process, ready to be asked; killed at the end of the block if it has not ended."""

    def __init__(
        self,
        folder: Path,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        config: str | None = None,
        prefix: Sequence[str] = (),
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        command = [*prefix, RASD, "serve", "--port", "0", *map(str, arguments)]
        if config is not None:
            (folder / "serve.yaml").write_text(config, encoding="utf-8")
            command += ["--config", "serve.yaml"]
        with (folder / "out.log").open("wb") as out, (folder / "err.log").open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=stdin,
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def __enter__(self) -> "RunningService":
        try:
            wait_for(lambda: _ADDRESS.search(self.stderr) or self.process.poll() is not None)
            match = _ADDRESS.search(self.stderr)
            assert match, self.stderr + self.stdout
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise
        self.url = match[1]
        self.client = httpx.Client(base_url=self.url, timeout=600)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def stdout(self) -> str:
        return (self.folder / "out.log").read_text(encoding="utf-8")

    @property
    def stderr(self) -> str:
        return (self.folder / "err.log").read_text(encoding="utf-8")

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    def logged(self, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """Wait for `count` lines of the log with these fields, which a thread writes."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            found[:] = [line for line in self.log if line | fields == line]
            return len(found) >= count

        wait_for(enough)
        return found

    @property
    def workers(self) -> list[int]:
        """The worker processes, found as the kernel knows them."""
        return [pid for pid in descendants(self.process.pid) if b"spawn_main" in command_line(pid)]

    @property
    def ready(self) -> bool:
        return self.client.get("/readyz").status_code == 200

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.client.get("/metrics").text.splitlines()
        starts = (f"{name} ", f"{name}{{")
        return sum(float(line.split()[-1]) for line in lines if line.startswith(starts))

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def descendants(pid: int) -> list[int]:
    """The processes under `pid`, itself left out."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text(encoding="ascii").split():
            found += [int(child), *descendants(int(child))]
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return False


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until the condition holds; fail after a time that only a hang reaches."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
