"""A real PostgreSQL: a cluster of its own in a temporary folder, reached through a socket."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class PostgreSQL:
    """One cluster, run by a user without rights, since PostgreSQL refuses root."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self._programs = programs
        self._folder = folder
        self._user = user
        self._run("initdb", "-D", folder / "data", "-U", "rasd", "-A", "trust", "-E", "UTF8")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://rasd@/postgres?host={self._folder}"

    def start(self) -> None:
        options = f"-c listen_addresses='' -k {self._folder}"
        log = self._folder / "log"
        self._run("pg_ctl", "start", "-w", "-D", self._folder / "data", "-o", options, "-l", log)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", self._folder / "data")

    def signal(self, number: int) -> None:
        """Send a signal to the server and to the processes of its connections."""
        file = self._folder / "data" / "postmaster.pid"
        pid = file.read_text(encoding="ascii").split()[0]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        for process in (pid, *children.split()):
            os.kill(int(process), number)

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [self._programs / program, *map(str, arguments)],
            user=self._user,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )


def installed() -> Path | None:
    """The program that makes a cluster, if PostgreSQL is installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found)
    return max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)


@contextmanager
def cluster(initdb: Path) -> Iterator[PostgreSQL]:
    """A running cluster, gone at the end of the block."""
    # A socket's path must be short, and the user without rights must get at it.
    folder = Path(tempfile.mkdtemp(prefix="rasd-pg-"))
    user = None
    if os.geteuid() == 0:
        user = "nobody"
        shutil.chown(folder, user)
    try:
        running = PostgreSQL(initdb.parent, folder, user)
        yield running
        running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
