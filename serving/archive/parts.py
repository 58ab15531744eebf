"""The finished parts of a run, kept in a folder: what a run that is started again need not redo."""

import fcntl
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

from serving.errors import InputError, RasdError

_IDENTITY = "run.json"
# What a run writes: other files in its folder are a person's.
_OWN = re.compile(r"\.?part-\d{6,}-\d{4,}\.")
_LOCK = ".lock"  # hidden, so that readers of the folder pass over it


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What one part holds; its file, written last, is what makes the part finished.

    `records` were read and `rejected` of them set aside; `repeats` of the `sentences` were answered
    from the cache. `last` marks the part that ends its slice. `rejection` is the first problem and
    its remedy. `notes` counts what reading did to documents.
    """

    records: int = 0
    rejected: int = 0
    sentences: int = 0
    repeats: int = 0
    last: bool = False
    rejection: tuple[str, str] | None = None
    notes: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: "PartSummary") -> "PartSummary":
        """Return the sums of two parts, this one the earlier."""
        return PartSummary(
            self.records + other.records,
            self.rejected + other.rejected,
            self.sentences + other.sentences,
            self.repeats + other.repeats,
            other.last,
            self.rejection or other.rejection,
            dict(Counter(self.notes) + Counter(other.notes)),
        )


@dataclass(frozen=True, slots=True, order=True)
class PartKey:
    """Which part: `number` counts from 0 in its slice."""

    slice: int
    number: int

    def __str__(self) -> str:
        """Return the name that sorts as the parts follow each other."""
        return f"part-{self.slice:06d}-{self.number:04d}"


class Parts:
    """The folder of one run's parts, locked against a second run."""

    def __init__(self, folder: Path, suffix: str, *, partitioned: bool = False) -> None:
        """Take the folder and the suffix of the parts' files (`.jsonl`, `.csv`, `.parquet`).

        The records of a `partitioned` run are not here but in a folder for each value.
        """
        self.folder = folder
        self._suffix = suffix
        self._partitioned = partitioned

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; raise InputError while another process does.

        The kernel releases the lock of a process that dies, so a lock is never stale.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                lock.seek(0)
                holder = lock.read().strip() or "unknown"
                raise InputError(
                    f"{self.folder}: another run (process {holder}) is writing here",
                    "Wait for it to end, or choose another output.",
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def begun(self) -> bool:
        """Tell whether the folder holds a run."""
        return (self.folder / _IDENTITY).is_file()

    def claim(self, identity: dict[str, Any]) -> bool:
        """Begin the run of this identity, or return True where one is to be continued.

        Raises InputError naming what differs when the folder holds parts of another run.
        """
        path = self.folder / _IDENTITY
        if not path.is_file():
            _write_json(path, identity)
            return False
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{path}: cannot be read ({error})", "Start over with --restart."
            ) from error
        if not isinstance(earlier, dict):
            raise InputError(f"{path}: not written by a run", "Choose another output.")
        changed = [key for key in identity if earlier.get(key) != identity[key]]
        if changed:
            details = "; ".join(
                difference
                for key in changed
                for difference in _differences(key, earlier.get(key), identity[key])
            )
            how = "Name that --model" if changed == ["model"] else "Repeat the earlier command"
            raise InputError(
                f"{self.folder}: holds another run: {details}",
                f"{how} to continue it, start over with --restart, or name another output.",
            )
        return True

    def finished(self, key: PartKey) -> PartSummary | None:
        """Return what a part holds, or None while it is not finished."""
        path = self._path(key, ".json")
        if not path.is_file():
            return None
        return PartSummary(**json.loads(path.read_text(encoding="utf-8")))

    def of_slice(self, number: int) -> list[PartSummary]:
        """Return the finished parts of a slice from its first on."""
        found: list[PartSummary] = []
        while part := self.finished(PartKey(number, len(found))):
            found.append(part)
        return found

    def finished_keys(self) -> list[PartKey]:
        """Return the finished parts in their order."""
        return sorted(
            PartKey(*map(int, path.stem.split("-")[1:]))
            for path in self.folder.glob("part-*.json")
            if _OWN.match(path.name)
        )

    def total(self) -> PartSummary:
        """Return the sums of all finished parts."""
        total = PartSummary()
        for key in self.finished_keys():
            if part := self.finished(key):
                total += part
        return total

    def clear(self) -> None:
        """Remove every part and the run's identity; nothing else that is in the folder.

        Killed in the middle, no part counts as finished without its files, and until the last of
        them is removed the folder still belongs to the run.
        """
        for pattern in ("part-*.json", "part-*", ".part-*", "*=*/part-*", _IDENTITY):
            for path in self.folder.glob(pattern):
                if pattern == _IDENTITY or _OWN.match(path.name):
                    path.unlink()

    def discard(self) -> None:
        """Remove what the run has written, and the folder if nothing else is in it."""
        self.clear()
        (self.folder / _LOCK).unlink(missing_ok=True)
        for folder in [*self.folder.glob("*=*/"), self.folder]:
            with suppress(OSError):  # not empty
                folder.rmdir()

    @contextmanager
    def writing(self, key: PartKey) -> Iterator["PartFiles"]:
        """Yield a part's two files; they are renamed into place when the block succeeds.

        Raises RasdError when they cannot be written: what was finished before is kept.
        """
        targets = (self.data(key), self.rejects(key))
        temporary = [path.with_name(f".{path.name}.{os.getpid()}") for path in targets]
        try:
            with temporary[0].open("wb") as data, temporary[1].open("wb") as rejects:
                files = PartFiles(data, rejects)
                yield files
                for stream in (data, rejects):
                    stream.flush()
                    os.fsync(stream.fileno())
            for path, target in zip(temporary, targets, strict=True):
                if not (self._partitioned and target == targets[0]):
                    path.replace(target)
            _write_json(self._path(key, ".json"), asdict(files.summary))
        except OSError as error:
            raise RasdError(
                f"{self.folder}: cannot be written: {error.strerror}",
                "What is finished is kept: make room and repeat the command to continue.",
            ) from error
        finally:
            for path in temporary:
                path.unlink(missing_ok=True)

    def data(self, key: PartKey) -> Path:
        """Return the file of a part's records."""
        return self._path(key, self._suffix)

    def rejects(self, key: PartKey) -> Path:
        """Return the file of the records that a part set aside; it may be empty."""
        return self._path(key, ".rejected.jsonl")

    def _path(self, key: PartKey, suffix: str) -> Path:
        return self.folder / f"{key}{suffix}"


@dataclass(slots=True)
class PartFiles:
    """A part being written: its streams, and what it holds."""

    data: BinaryIO
    rejects: BinaryIO
    summary: PartSummary = field(default_factory=PartSummary)


def rejected_file(output: Path) -> Path:
    """Return the file beside an output that holds what was set aside."""
    return output.with_name(f"{output.name}.rejected.jsonl")


def _differences(name: str, was: object, now: object) -> list[str]:
    """Return what differs between two values, of an object or list only the first that do."""
    if isinstance(was, dict) and isinstance(now, dict):
        keys = [key for key in was | now if was.get(key) != now.get(key)]
        return [f"{key} was {_shown(was.get(key))}, now {_shown(now.get(key))}" for key in keys[:3]]
    if isinstance(was, list) and isinstance(now, list):
        pair = next(((a, b) for a, b in zip_longest(was, now) if a != b), (was, now))
        return [f"{name} was {_shown(pair[0])}, now {_shown(pair[1])}"]
    return [f"{name} was {_shown(was)}, now {_shown(now)}"]


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _write_json(path: Path, value: object) -> None:
    temporary = path.with_name(path.name + ".tmp")
    # Half a surrogate pair, in a file name that is not UTF-8, becomes an escape of JSON.
    with temporary.open("w", encoding="utf-8", errors="backslashreplace") as stream:
        json.dump(value, stream, ensure_ascii=False, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
