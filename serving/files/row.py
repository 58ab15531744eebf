"""One record of a file, as every format yields it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from serving.errors import Problem


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one record as the file holds them.

    `line` is where the record begins, counted from 1. `number` tells it from the other records of
    the file: its line, or its position in a JSON array, which may be one long line.
    """

    where: str
    line: int
    number: int
    fields: dict[str, Any]

    def problem(self, what: str, remedy: str, *, warning: bool = False) -> Problem:
        """Return a problem of this record."""
        raw = json.dumps(self.fields, ensure_ascii=False, default=str)
        return Problem(self.where, what, remedy, warning, self.line, raw)


def listed(names: Iterable[str]) -> str:
    """Return names for an error message."""
    return ", ".join(map(repr, names)) or "none"


def named(value: object) -> str:
    """Return what JSON calls the type of `value`."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    kinds: dict[type, str] = {dict: "an object", list: "an array", str: "a string"}
    return kinds.get(type(value), "a number")
