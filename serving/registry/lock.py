"""One command at a time changes a registry."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.errors import RasdError

LOCK = ".lock"


class BusyError(RasdError):
    """Another command is changing the registry. Exit code 1."""


@contextmanager
def locked(registry: Path) -> Iterator[None]:
    """Hold the registry's lock; raise BusyError at once when another process holds it.

    The kernel releases the lock when its process ends, however it ends, so none is ever stale.
    """
    handle = os.open(registry / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 100).decode("ascii", "replace").strip() or "unknown"
            raise BusyError(
                f"{registry}: another command is changing this registry (process {holder})\n"
                "Nothing was changed. Look at `rasd models list`, then run the command again."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
