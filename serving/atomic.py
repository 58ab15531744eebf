"""Files and folders that are written completely or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.errors import InputError


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files can only be read by their owner
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; it replaces `target` if the block succeeds.

    An older folder of that name is moved aside first and removed last, so that a reader finds
    either the old or the new one, complete.
    """
    target = target.resolve()  # `.` has no name; a link means the folder it points to
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if target.exists():
            old = temporary.with_name(temporary.name + ".old")
            target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old)
        else:
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_place(folder: Path, *, sign: str | None = None) -> None:
    """Raise InputError if `atomic_folder` would overwrite something else at `folder`.

    It may replace an empty folder and one of the same kind: one with the file `sign`.
    """
    for parent in folder.resolve().parents:
        if parent.exists() and not parent.is_dir():
            raise InputError(f"{folder}: {parent} is a file", "Name a folder with --out.")
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: a file, not a folder", "Name a folder with --out.")
    if (folder / ".git").exists():
        raise InputError(
            f"{folder}: a git repository, which would be replaced with its history",
            "Name a new folder with --out, and copy its files into the repository.",
        )
    if any(folder.iterdir()) and (sign is None or not (folder / sign).is_file()):
        raise InputError(
            f"{folder}: something else is there already", "Name a new folder with --out."
        )


def _umask() -> int:
    """Return the umask of the process, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
