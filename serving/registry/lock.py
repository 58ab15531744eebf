"""One command at a time changes a folder: a registry, or the work of a retraining."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.errors import RasdError

LOCK = ".lock"


class BusyError(RasdError):
    """Another command holds the folder. Exit code 1."""


@contextmanager
def locked(
    folder: Path,
    busy: str = "another command is changing this registry",
    remedy: str = "Look at `rasd models list`, then run the command again.",
) -> Iterator[None]:
    """Hold the folder's lock; raise BusyError at once when another process holds it.

    The kernel releases the lock when its process ends, however it ends, so none is ever stale.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 100).decode("ascii", "replace").strip() or "unknown"
            raise BusyError(
                f"{folder}: {busy} (process {holder})", f"Nothing was changed. {remedy}"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
