"""`DIR/current`: which version of a registry is served. Read with care, changed by a rename."""

import os
import re
import stat
from pathlib import Path

from serving.atomic import atomic_file
from serving.bundle import NAME_PATTERN
from serving.errors import InputError

CURRENT = "current"
VERSIONS = "versions"
# Far more than a name needs, and little enough to read at once.
_MAX_BYTES = 4096

_NAME = re.compile(NAME_PATTERN, re.ASCII)
_REMEDY = f"A registry has {VERSIONS}/NAME/ and a file {CURRENT} that holds a NAME."


def is_version_name(name: str) -> bool:
    """Tell whether a version may have this name: Latin letters, digits, dots, hyphens, _."""
    return bool(_NAME.fullmatch(name))


def current_name(registry: Path) -> str | None:
    """Return the name that `current` holds, or None when there is no `current`.

    `current` is a file that holds the version's name, or a link to its folder. Raises InputError
    when it is anything else, cannot be read, or holds what cannot be a version's name.
    """
    pointer = registry / CURRENT
    if not os.path.lexists(pointer):
        return None
    try:
        name = _read(pointer)
    except OSError as error:
        raise InputError(f"{pointer}: cannot be read ({error.strerror})", _REMEDY) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{pointer}: not text", _REMEDY) from error
    if not is_version_name(name):
        raise InputError(f"{pointer}: names no version: {name[:100]!r}", _REMEDY)
    return name


def current_folder(registry: Path) -> Path:
    """Return the folder of the current version; raise InputError when there is none."""
    name = current_name(registry)
    if name is None:
        raise InputError(
            f"{registry / CURRENT}: there is no current version",
            "Add a model with `rasd models add BUNDLE`, then `rasd models promote NAME`.",
        )
    folder = registry / VERSIONS / name
    if not folder.is_dir():
        raise InputError(f"{registry / CURRENT}: names no version: {name!r}", _REMEDY)
    return folder


def point(registry: Path, name: str) -> None:
    """Make `current` name a version, at once; a link stays a link."""
    pointer = registry / CURRENT
    if pointer.is_symlink() and not _leads_to_file(pointer):
        new = pointer.with_name(f".{CURRENT}.{os.getpid():08d}")
        new.unlink(missing_ok=True)
        new.symlink_to(Path(VERSIONS) / name)
        new.replace(pointer)
    else:
        with atomic_file(pointer) as new, new.open("w", encoding="ascii") as stream:
            stream.write(f"{name}\n")
            stream.flush()
            os.fsync(stream.fileno())
    sync_folder(registry)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(pointer: Path) -> str:
    # Without blocking: opening a FIFO would wait for someone who writes to it.
    handle = os.open(pointer, os.O_RDONLY | os.O_NONBLOCK)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            return Path(os.path.realpath(pointer, strict=True)).name
        if not stat.S_ISREG(mode):
            raise InputError(f"{pointer}: neither a file nor a link to a folder", _REMEDY)
        content = os.read(handle, _MAX_BYTES + 1)
    finally:
        os.close(handle)
    if len(content) > _MAX_BYTES:
        raise InputError(f"{pointer}: holds more than a name", _REMEDY)
    return content.decode("utf-8").strip()


def _leads_to_file(link: Path) -> bool:
    try:
        return stat.S_ISREG(link.stat().st_mode)
    except OSError:
        return False
