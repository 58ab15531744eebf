"""The rows of a CSV file, whichever sign separates its cells."""

import csv
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Reader

# Far above any text in one cell; without a limit, a lone quote sign would read the rest of a huge
# file into memory before it is found out.
csv.field_size_limit(2**27)

# Spreadsheets write semicolons where the decimal sign is a comma, as in much of the Arab world.
_SEPARATORS = (",", ";", "\t")


def read_cells(lines: Iterable[str]) -> "Reader":
    """Return the rows of `lines`, whose first, the header, shows what separates their cells."""
    lines = iter(lines)
    header = next(lines, "")
    separator = next((sign for sign in _SEPARATORS if sign in header), ",")
    return csv.reader(chain([header], lines), strict=True, delimiter=separator)
