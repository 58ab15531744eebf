"""A registry on disk: `DIR/versions/NAME/` (a bundle), `DIR/current` and `DIR/log.jsonl`.

Every change is one rename, made under a lock. A command that is killed leaves temporary folders
at worst, which the next change removes. Nothing here runs a model: `check` does, for the caller.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from serving.atomic import atomic_folder, check_place
from serving.bundle import MANIFEST, Bundle, Manifest, read_manifest
from serving.errors import InputError, Problem, RasdError, did_you_mean
from serving.registry.lock import locked
from serving.registry.log import Entry, Log, history, now, who
from serving.registry.pointer import (
    VERSIONS,
    current_name,
    is_version_name,
    point,
    sync_folder,
)

# The folder of a version that holds the record of its training.
RECORD = "training"
# What `serving.atomic` and `prune` leave behind when they are killed.
_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}(\.old)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Version:
    """One version: `problem` says why its manifest cannot be read, if so."""

    name: str
    folder: Path
    current: bool
    added: str | None
    manifest: Manifest | None
    problem: str | None


class Registry:
    """The registry at a folder."""

    def __init__(self, folder: Path, *, check: Callable[[Path], None]) -> None:
        """Take the folder, and what tries a bundle's folder: it raises InputError."""
        self.folder = folder
        self._versions = folder / VERSIONS
        self._check = check
        self._log = Log(folder, self._happened)

    def versions(self) -> list[Version]:
        """Return every version, in the order in which they were added."""
        self._must_exist()
        current = self._current()
        # The order of the log, not of its times: another machine's clock may be wrong.
        added = [(e.version, e.time) for e in self._log.read() if e.action == "add"]
        order = {name: number for number, (name, _) in enumerate(added)}
        times = dict(added)
        found = [self._describe(name, current, times.get(name)) for name in self._names()]
        return sorted(found, key=lambda version: (order.get(version.name, -1), version.name))

    def entries(self) -> list[Entry]:
        """Return the lines of the log, the oldest first."""
        return self._log.read()

    def version_folder(self, name: str) -> Path:
        """Return a version's folder; raise InputError when there is none of this name."""
        self._must_exist()
        if is_version_name(name) and (self._versions / name).is_dir():
            return self._versions / name
        hint = did_you_mean(name, self._names())
        raise InputError(
            f"{self.folder}: no version {name[:100]!r}.{hint}", "See `rasd models list`."
        )

    def add(
        self,
        bundle: Path,
        *,
        name: str | None = None,
        record: Path | None = None,
        reason: str | None = None,
    ) -> str:
        """Copy a bundle in as a new version, which is not yet current; return the version's name.

        `record` is a folder that says how it was trained. Raises InputError when the bundle is not
        whole, does not pass `check`, or the name is taken.
        """
        loaded = Bundle.load(bundle)
        name = name or f"{loaded.manifest.name}-{loaded.manifest.version}"
        target = self._versions / name
        if not is_version_name(name):
            raise InputError(
                f"{name[:100]!r} cannot be a version's name",
                "Use up to 100 Latin letters, digits, dots, hyphens and underscores.",
            )
        if record is not None and not record.is_dir():
            raise InputError(f"{record}: no such folder", "Name the folder of a training.")
        if record is not None and target.resolve().is_relative_to(record.resolve()):
            raise InputError(f"{record}: the registry is in it", "Name the folder of a training.")
        self._check(loaded.folder)
        try:
            self._versions.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.folder}: no registry can be made there ({error.strerror})",
                "Name another folder with --registry DIR.",
            ) from error

        def copy() -> None:
            with atomic_folder(target) as new:
                _copy_bundle(loaded, new)
                if record is not None:
                    _copy_record(record, new / RECORD)
            sync_folder(self._versions)

        with self._changing():
            if target.exists():
                raise InputError(f"{target}: there already", "Give the version another --name.")
            self._log.record(self._entry("add", name, reason, loaded.manifest), copy)
        return name

    def export(self, name: str, out: Path) -> None:
        """Copy a version's bundle, its card as README.md, to a folder fit for Hugging Face's hub.

        Raises InputError when the version is not whole or something is at `out` already.
        """
        check_place(out, sign=MANIFEST)
        bundle = Bundle.load(self.version_folder(name))
        with atomic_folder(out) as new:
            _copy_bundle(bundle, new)

    def promote(self, name: str, *, reason: str | None = None) -> str | None:
        """Make a version current; return the one that was, which may be the same.

        Raises InputError when it does not pass `check`, BusyError when another command is at work.
        """
        self.version_folder(name)
        with self._changing():
            previous = self._current()
            if previous != name:
                self._move("promote", name, reason)
        return previous

    def rollback(self, *, reason: str | None = None) -> tuple[str, str]:
        """Make the version current that was before; return that one and the one it replaces."""
        with self._changing():
            current = self._current()
            earlier = self._earlier()
            if current is None or not earlier:
                raise InputError(
                    f"{self.folder}: no earlier version to return to",
                    "Choose one with `rasd models promote NAME`.",
                )
            self._move("rollback", earlier[-1], reason)
        return earlier[-1], current

    def prune(self, *, keep: int, reason: str | None = None) -> list[str]:
        """Remove all but the `keep` newest versions; return the names of those removed.

        The current version and the one that a rollback returns to are always kept.
        """
        with self._changing():
            newest = [version.name for version in self.versions()][-keep:]
            kept = {*newest, self._current(), *self._earlier()[-1:]}
            removed = [name for name in self._names() if name not in kept]
            for name in removed:
                self._remove(name, reason)
        return removed

    def verify(self) -> list[Problem]:
        """Return all that is wrong; what a killed command or a person's hand left is a warning."""
        self._must_exist()
        problems = []
        for path in sorted(self._versions.glob("*")):
            if path.name.startswith("."):
                continue
            if not path.is_dir() or not is_version_name(path.name):
                problems.append(Problem(str(path), "not a version", "Move it elsewhere."))
                continue
            try:
                Bundle.load(path)
            except InputError as error:
                if path.is_dir():  # not pruned in the meantime
                    problems.append(Problem(path.name, error.problem, error.remedy))
        try:
            problems += self._verify_log()
            problems += self._verify_pointer()
        except InputError as error:
            problems.append(Problem(str(self.folder), error.problem, error.remedy))
        return problems

    def _verify_log(self) -> Iterator[Problem]:
        """Compare the versions with what the log says was added."""
        added: dict[str, str | None] = {}
        for entry in self._log.read():
            if entry.action == "add":
                added[entry.version] = entry.model
            elif entry.action == "prune":
                added.pop(entry.version, None)
        for name, model in added.items():
            try:
                found = read_manifest(self._versions / name).model
            except InputError:
                if not (self._versions / name).is_dir():
                    what = "was removed without `rasd models`"
                    yield Problem(name, what, "Add it again if you need it.", warning=True)
                continue
            if model and found != model:
                what = f"holds {found}; the log says that {model} was added"
                yield Problem(name, what, "Add the bundle under another name.", warning=True)

    def _verify_pointer(self) -> Iterator[Problem]:
        """Compare `current` with the versions and with the log."""
        current = current_name(self.folder)
        past = history(self._log.read())
        if current is None:
            yield Problem(
                "current", "no version is current", "Use `rasd models promote NAME`.", warning=True
            )
        elif not (self._versions / current).is_dir():
            yield Problem("current", f"names no version: {current!r}", "Promote another version.")
        if self._log.pending():
            yield Problem(
                "log", "a command was killed", "The next change completes the log.", warning=True
            )
        elif current != (past[-1] if past else None):
            yield Problem(
                "current",
                "was changed without `rasd models`",
                "The next change notes that in the log.",
                warning=True,
            )

    def _earlier(self) -> list[str]:
        """Return the versions that rollbacks return to, the next one last."""
        current = self._current()
        past = history(self._log.read())[:-1]
        return [n for n in past if n != current and (self._versions / n).is_dir()]

    def _move(self, action: str, name: str, reason: str | None) -> None:
        folder = self._versions / name
        self._check(folder)
        entry = self._entry(action, name, reason, read_manifest(folder))
        self._log.record(entry, lambda: point(self.folder, name))

    def _remove(self, name: str, reason: str | None) -> None:
        folder = self._versions / name
        aside = folder.with_name(f".{name}.{os.getpid():08d}")

        def move_aside() -> None:
            folder.rename(aside)
            sync_folder(self._versions)

        self._log.record(self._entry("prune", name, reason), move_aside)
        _discard(aside)

    def _entry(
        self, action: str, name: str, reason: str | None, manifest: Manifest | None = None
    ) -> Entry:
        return Entry.model_validate(
            {
                "time": now(),
                "action": action,
                "version": name,
                "previous": self._current() if action in ("promote", "rollback") else None,
                "model": manifest.model if manifest else None,
                "by": None if action == "found" else who(),
                "reason": reason,
            }
        )

    def _happened(self, entry: Entry) -> bool:
        """Tell whether the change of a pending line was made."""
        if entry.action in ("add", "prune"):
            return (self._versions / entry.version).is_dir() == (entry.action == "add")
        return self._current() == entry.version

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, over a registry that is as if no command had ever been killed."""
        self._must_exist()
        try:
            with locked(self.folder):
                self._log.recover()
                self._remove_leftovers()
                current = self._current()
                past = history(self._log.read())
                if current is not None and [current] != past[-1:]:
                    self._log.record(self._entry("found", current, None), lambda: None)
                yield
        except OSError as error:
            raise RasdError(
                f"{error.filename2 or error.filename or self.folder}: {error.strerror or error}",
                "Mend that and run the command again; `rasd models list` shows what is current.",
            ) from error

    def _remove_leftovers(self) -> None:
        for path in self._versions.glob(".*"):
            if _LEFTOVER.fullmatch(path.name):
                with suppress(OSError):  # what cannot be removed must not stop a rollback
                    _discard(path)
        for path in self.folder.glob(".*"):
            if _LEFTOVER.fullmatch(path.name) and (path.is_symlink() or path.is_file()):
                path.unlink()

    def _must_exist(self) -> None:
        if not self._versions.is_dir():
            raise InputError(
                f"{self.folder}: not a registry: there is no {VERSIONS}/ in it",
                "Name one with --registry DIR, or make it with `rasd models add BUNDLE`.",
            )

    def _names(self) -> list[str]:
        self._must_exist()
        return sorted(p.name for p in self._versions.iterdir() if is_version_name(p.name))

    def _current(self) -> str | None:
        """Return what `current` names, or None; one that cannot be read is there to be replaced."""
        try:
            return current_name(self.folder)
        except InputError:
            return None

    def _describe(self, name: str, current: str | None, added: str | None) -> Version:
        folder = self._versions / name
        try:
            manifest, problem = read_manifest(folder), None
        except InputError as error:
            manifest, problem = None, error.problem
        return Version(name, folder, name == current, added, manifest, problem)


def _discard(path: Path) -> None:
    """Remove a version's folder, or the link in its place."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)


def _copy_record(record: Path, target: Path) -> None:
    """Copy a folder; raise InputError for the first of its files that cannot be copied."""
    try:
        shutil.copytree(record, target)
    except shutil.Error as error:
        file, _, why = error.args[0][0]
        raise InputError(f"{file}: cannot be copied ({why})", "Remove it from --record.") from error


def _copy_bundle(bundle: Bundle, target: Path) -> None:
    """Copy the files that a bundle lists, verified again there; links become files."""
    for name in (*bundle.manifest.files, MANIFEST):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.folder / name, target / name)
        with (target / name).open("rb") as stream:
            os.fsync(stream.fileno())
    if Bundle.load(target).manifest != bundle.manifest:
        raise InputError(f"{bundle.folder}: changed while it was copied", "Copy it again.")
