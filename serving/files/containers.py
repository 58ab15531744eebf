"""Zip and tar files to the files in them, one at a time and never unpacked to disk.

Names of members are only names: nothing is written under them, whatever path they hold. Links and
files inside of another container are left out.
"""

import dataclasses
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

from serving.errors import Problem
from serving.files.compression import BadFile, bounded, decompressed, seekable
from serving.files.sources import Source, form_of, suffix_of

Member = tuple[Source, BinaryIO]


def members(source: Source, file: BinaryIO) -> Iterator[Member | Problem]:
    """Yield the supported files of a zip or tar file in the order in which it has them.

    Each must be read before the next is asked for. What is left out is a warning.
    """
    read = _zip_members if source.kind == "zip" else _tar_members
    found = 0
    try:
        for item in read(source, decompressed(file, source.compression)):
            found += not isinstance(item, Problem)
            yield item
    except BadFile as error:
        yield Problem(str(source), error.what, error.remedy, whole_file=True)
    else:
        if not found:
            remedy = "Name another file, or the format of this one with --input-format."
            yield Problem(str(source), "no supported file in it", remedy, whole_file=True)


def _zip_members(source: Source, file: BinaryIO) -> Iterator[Member | Problem]:
    try:
        packed = zipfile.ZipFile(seekable(file))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadFile(f"not a complete zip file ({error})", "Copy it again.") from error
    with packed:
        for info in packed.infolist():
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                continue
            member = _member(source, _name(info))
            if isinstance(member, Problem):
                yield member
                continue
            try:
                stream = packed.open(info)
            except (RuntimeError, NotImplementedError, zipfile.BadZipFile, ValueError) as error:
                what = f"cannot be unpacked ({error})"
                yield Problem(str(member), what, "Pack it again without a password.")
                continue
            damaged = BadFile("damaged in the zip file", "Copy or pack it again.")
            with stream:
                yield member, bounded(stream, partial(int, info.compress_size), damaged)


def _name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; macOS writes UTF-8 without the flag that says so."""
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):
            return info.filename.encode("cp437").decode()
    return info.filename


def _tar_members(source: Source, file: BinaryIO) -> Iterator[Member | Problem]:
    damaged = BadFile("not a complete tar file", "Copy it again.")
    try:
        with tarfile.open(fileobj=file, mode="r|") as packed:
            for info in packed:
                packed.members = []  # type: ignore[attr-defined] # it would keep all it has passed
                if not info.isfile():
                    continue
                member = _member(source, info.name)
                if isinstance(member, Problem):
                    yield member
                elif stream := packed.extractfile(info):
                    yield member, bounded(stream, partial(int, info.size), damaged)
    except (tarfile.TarError, EOFError) as error:
        raise damaged from error


def _member(source: Source, name: str) -> Source | Problem:
    """Return a member as a source, or the warning that it is left out."""
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
    kind, compression = form_of(path.name)
    inside = dataclasses.replace(
        source, name=f"{source.name}/{name}", kind=kind, compression=compression, member=name
    )
    if kind in (None, "zip", "tar") or hidden:
        what = f"left out files of other kinds in {source} ({suffix_of(path)})"
        return Problem(str(inside), what, "", warning=True)
    return inside
