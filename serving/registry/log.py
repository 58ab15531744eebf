"""A registry's log (`DIR/log.jsonl`): who changed what, when and why; lines are only added.

A change and its line cannot be made in one step. So the line is kept in `DIR/.pending.json` while
its change is made, and whoever changes the registry next completes the log from there if the
command was killed. The log then holds what happened, and nothing that did not.
"""

import getpass
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from serving.atomic import atomic_file
from serving.errors import InputError
from serving.registry.pointer import sync_folder

LOG = "log.jsonl"
PENDING = ".pending.json"


class Entry(BaseModel):
    """One line. `previous` is the version that was current before a promotion or a rollback.

    `found` is a change of `current` that no `rasd models` made: someone wrote it by hand.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: str
    action: Literal["add", "promote", "rollback", "prune", "found"]
    version: str
    previous: str | None = None
    model: str | None = None
    by: str | None = None
    reason: str | None = None


class Log:
    """The log of the registry at a folder. To add to it, hold the registry's lock."""

    def __init__(self, registry: Path, happened: Callable[[Entry], bool]) -> None:
        """Take the folder, and what tells whether a line's change was made."""
        self.path = registry / LOG
        self._pending = registry / PENDING
        self._happened = happened

    def read(self) -> list[Entry]:
        """Return every line, the oldest first; InputError for a line that is not one.

        A last line without an end was cut off by a crash, and is not there yet.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be read ({error.strerror})", "Give this user the right to."
            ) from error
        entries = []
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            try:
                entries.append(Entry.model_validate_json(line))
            except ValidationError as error:
                raise InputError(
                    f"{self.path}: line {number}: not a line of the log: "
                    f"{error.errors()[0]['msg']}",
                    "Only `rasd models` writes here; mend the line, or remove it.",
                ) from error
        return entries

    def pending(self) -> Entry | None:
        """Return the line of a change that was begun and perhaps made, if there is one."""
        try:
            return Entry.model_validate_json(self._pending.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise InputError(
                f"{self._pending}: cannot be read ({error})",
                "Only `rasd models` writes it: remove it.",
            ) from error

    def record(self, entry: Entry, change: Callable[[], None]) -> None:
        """Make a change and add its line; if the change fails, nothing is added."""
        with atomic_file(self._pending) as new:
            new.write_text(_line(entry), encoding="utf-8")
        sync_folder(self._pending.parent)
        try:
            change()
        finally:
            self.recover()

    def recover(self) -> None:
        """Add the line of a change that was made, by this command or by one that was killed."""
        entry = self.pending()
        if entry and self._happened(entry):
            self._complete(entry)
        self._pending.unlink(missing_ok=True)

    def _complete(self, entry: Entry) -> None:
        """Add a line unless it is the last one already."""
        self._drop_torn_line()
        entries = self.read()
        if not entries or entries[-1] != entry:
            with self.path.open("ab", buffering=0) as stream:
                stream.write(_line(entry).encode())
                os.fsync(stream.fileno())

    def _drop_torn_line(self) -> None:
        with suppress(FileNotFoundError):
            content = self.path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self.path, whole)


def history(entries: list[Entry]) -> list[str]:
    """Return the versions that have been current, the oldest first.

    Without those that were rolled back or removed.
    """
    names: list[str] = []
    for entry in entries:
        if entry.action == "rollback":
            while names and names[-1] != entry.version:
                names.pop()
        if entry.action == "prune":  # a later version of this name is another one
            names = [name for name in names if name != entry.version]
        if entry.action in ("promote", "rollback", "found") and names[-1:] != [entry.version]:
            names.append(entry.version)
    return names


def now() -> str:
    """Return the time in UTC, as the log has it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def who() -> str:
    """Return the user and the machine, as the log has them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    # A name that is not UTF-8 reaches Python with surrogates, which no file can hold.
    return f"{user}@{socket.gethostname()}".encode(errors="backslashreplace").decode()


def _line(entry: Entry) -> str:
    return json.dumps(entry.model_dump(exclude_none=True), ensure_ascii=False) + "\n"
