"""The service in a container of 1 GiB: 16 of the largest requests at once, which all grow.

    python benchmarks/container_memory.py [--megabytes 1024] [--seconds 30]

Needs root and a memory cgroup, of version 1 or 2. Prints the highest memory of all processes
together as the kernel counts it; exits with 1 if it ended one, or if a request was not answered.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import clients

RASD = Path(sys.executable).with_name("rasd")
PORT = 8442
CLIENTS = 16
ROOT = Path("/sys/fs/cgroup")
# Each letter normalises to 18; the second text is split into clauses, the third into too many.
LARGEST = 2 * 2**20 - 100
BODIES = [
    {"sentences": ["\ufdfa" * (LARGEST // 3)]},
    {"documents": [{"text": "\ufdfa" * (LARGEST // 3)}]},
    {"documents": [{"text": "ا " * (LARGEST // 3)}]},
]


@dataclass(frozen=True)
class Group:
    """A memory cgroup, with the names of its files."""

    folder: Path
    limit: str
    peak: str
    events: str

    @property
    def peak_megabytes(self) -> float:
        """The highest memory so far."""
        return int((self.folder / self.peak).read_text()) / 2**20

    @property
    def killed(self) -> int:
        """The processes that the kernel has ended."""
        lines = dict(line.split() for line in (self.folder / self.events).read_text().splitlines())
        return int(lines["oom_kill"])


def main() -> None:
    """Run the service in a cgroup, and the clients outside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=30.0, help="of sending (default: 30)")
    options = parser.parse_args()
    enter = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    with (
        group(options.megabytes) as inside,
        clients.server(
            *("sh", "-c", enter, inside.folder, RASD, "serve", "--port", PORT),
            ready="/readyz",
            port=PORT,
        ) as process,
    ):
        print(f"ready: {inside.peak_megabytes:.0f} MB at most, {clients.pss(process.pid):.0f} now")
        outcome = clients.load(
            f"http://127.0.0.1:{PORT}",
            "/v1/classify",
            [clients.encoded(body) for body in BODIES],
            clients=CLIENTS,
            seconds=options.seconds,
            timeout=120,
        )
        print(f"{CLIENTS} clients for {options.seconds:g} s: {outcome.codes} (0: no answer)")
        print(f"most memory: {inside.peak_megabytes:.0f} MB (limit {options.megabytes} MB)")
        print(f"processes ended by the kernel: {inside.killed}")
        failed = inside.killed or outcome.codes.keys() - {200, 422, 504}
    sys.exit(bool(failed))


@contextmanager
def group(megabytes: int) -> Iterator[Group]:
    """Make a memory cgroup with this limit, and remove it when its processes have ended."""
    if (ROOT / "cgroup.controllers").exists():
        made = Group(ROOT / "rasd", "memory.max", "memory.peak", "memory.events")
    else:
        names = ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")
        made = Group(ROOT / "memory" / "rasd", *names)
    try:
        made.folder.mkdir()
        (made.folder / made.limit).write_text(str(megabytes * 2**20))
    except OSError as error:
        sys.exit(f"{made.folder}: no memory cgroup can be made here ({error.strerror})")
    try:
        yield made
    finally:
        made.folder.rmdir()


if __name__ == "__main__":
    main()
