"""Compressed files to the bytes they hold."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

PROGRAMS = {".gz": "gzip", ".xz": "xz"}

# What reading a damaged file raises inside `decompressed`.
DAMAGE = (gzip.BadGzipFile, zlib.error, EOFError)


@contextmanager
def decompressed(file: BinaryIO, suffix: str | None) -> Iterator[BinaryIO]:
    """Give the decompressed bytes of `file`; `suffix` is one of PROGRAMS, or None for plain bytes.

    Reading a damaged file inside the block raises one of DAMAGE.
    """
    if suffix == ".gz":
        yield cast("BinaryIO", gzip.GzipFile(fileobj=file))
    elif suffix == ".xz":
        import lzma  # only here: some Pythons are built without it

        try:
            with lzma.open(file) as lines:
                yield cast("BinaryIO", lines)
        except lzma.LZMAError as error:
            raise EOFError(str(error)) from error
    else:
        yield file
