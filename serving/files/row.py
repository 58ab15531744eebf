"""One record of a file, as every format yields it."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from serving.errors import Problem

# The longest record, in bytes as it is read or in characters of its text: far above any article,
# and little enough to hold. A longer one is set aside.
MAX_RECORD = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A field that every record needs, under one of these names, and the remedy without it."""

    names: tuple[str, ...]
    remedy: str

    def missing(self, where: str, header: Iterable[str]) -> Problem | None:
        """Return the problem of a table that has none of the names; a path may begin with one."""
        columns = list(header)
        if any(name in columns or name.partition(".")[0] in columns for name in self.names):
            return None
        what = f"no field {self.names[0]!r}; the fields are {listed(filter(None, columns))}"
        return Problem(where, what, self.remedy, whole_file=True)


def header_problem(where: str, header: Sequence[str], columns: Sequence[Wanted]) -> Problem | None:
    """Return the problem of a table that lacks a wanted column, or has one twice."""
    for column in columns:
        if problem := column.missing(where, header):
            return problem
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is None:
        return None
    remedy = "Rename or remove one of them."
    return Problem(where, f"two columns {twice!r}", remedy, whole_file=True)


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one record as the file holds them.

    `line` is where the record begins, counted from 1. `number` tells it from the other records of
    the file: its line, or its position in a JSON array, which may be one long line. `plain` text is
    not read as HTML (again).
    """

    where: str
    line: int
    number: int | str
    fields: dict[str, Any]
    plain: bool = False

    def problem(self, what: str, remedy: str, *, warning: bool = False) -> Problem:
        """Return a problem of this record."""
        raw = ""
        with suppress(RecursionError):  # of what Python could only just read
            raw = json.dumps(self.fields, ensure_ascii=False, default=str)
        return Problem(self.where, what, remedy, warning, self.line, raw)

    def too_long(self, size: int) -> Problem:
        """Return the problem of a record over MAX_RECORD; its raw text is only the beginning."""
        raw = json.dumps(self.fields, ensure_ascii=False, default=str)[:RAW_OF_LONG]
        return too_long(self.where, self.line, size, raw)


RAW_OF_LONG = 1000  # characters


def too_long(where: str, line: int | None, size: int, raw: str) -> Problem:
    """Return the problem of a record of `size`, of which only the beginning is kept."""
    what = f"a record of over {MAX_RECORD // 2**20} MB ({size:,} bytes or characters)"
    remedy = "Cut it into articles, or leave it out."
    return Problem(where, what, remedy, line=line, raw=raw)


def lookup(fields: dict[str, Any], path: str) -> tuple[Any] | tuple[()]:
    """Return the value of a field, or of a dotted path into nested objects, or nothing."""
    if path in fields:
        return (fields[path],)
    first, _, rest = path.partition(".")
    inner = fields.get(first)
    return lookup(inner, rest) if rest and isinstance(inner, dict) else ()


def listed(names: Iterable[str]) -> str:
    """Return names for an error message."""
    return ", ".join(map(repr, names)) or "none"


def named(value: object) -> str:
    """Return what JSON calls the type of `value`."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds: dict[type, str] = {dict: "an object", list: "an array", str: "a string"}
    return kinds.get(type(value), "a number")
