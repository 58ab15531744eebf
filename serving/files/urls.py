"""Files at URLs (`s3://`, `gs://`, …), read through fsspec."""

from typing import Any, BinaryIO, cast

from serving.errors import InputError, missing_extra


def is_url(name: str) -> bool:
    """Tell whether an input is a URL and not a path."""
    return "://" in name


def files(url: str) -> list[tuple[str, str]]:
    """Return the URLs of the file, or of all files in the folder, and their names, sorted.

    Hidden files are left out. A file's name is its URL, in a folder its path below it. Raises
    InputError where the place cannot be reached.
    """
    system, path = _system(url)
    try:
        found = [path] if system.isfile(path) else sorted(system.find(path))
    except Exception as error:  # every file system has errors of its own
        raise _unreachable(url, error) from error
    if found == [path]:
        return [(url, url)]
    below = [(name, name.removeprefix(path.rstrip("/")).lstrip("/")) for name in found]
    return [
        (str(system.unstrip_protocol(name)), short)
        for name, short in below
        if not any(part.startswith(".") for part in short.split("/"))
    ]


def opened(url: str) -> BinaryIO:
    """Return the file for reading. Raises OSError."""
    system, path = _system(url)
    try:
        return cast("BinaryIO", system.open(path, "rb"))
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{error}") from error


def state(url: str) -> tuple[int, str]:
    """Return a file's size and what differs once it was changed."""
    system, path = _system(url)
    try:
        return int(system.size(path) or 0), str(system.ukey(path))
    except Exception:  # reading it will say so
        return 0, ""


def _system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        raise missing_extra(url, "fsspec", "archive") from error
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        what = f"{url}: this kind of URL needs another library ({error})"
        raise InputError(what, "Install it: s3fs for s3://, gcsfs for gs://.") from error
    except Exception as error:
        raise _unreachable(url, error) from error
    return system, path


def _unreachable(url: str, error: Exception) -> InputError:
    reason = str(error).partition("\n")[0][:200]
    return InputError(f"{url}: cannot be reached ({reason})", "Check the URL and your credentials.")
