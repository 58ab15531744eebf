"""Label names as people write them (English, Arabic, a number) to those of the scheme."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from serving.errors import Problem
from serving.labels import LabelScheme
from serving.terminal import counted
from serving.text.normalize import NORMALIZERS

_BETWEEN = re.compile(r"[\s_-]+")
_DIGIT = re.compile(r"\d")  # of any script: 2, ٢ and ۲


class LabelNames:
    """Finds labels of one file, and remembers which of them were written in another way."""

    def __init__(self, file: str, scheme: LabelScheme) -> None:
        self._file = file
        self.scheme = scheme
        self._known: dict[str, str] = {}
        for number, label in enumerate(scheme.labels):
            for form in (label.name, label.arabic, str(number)):
                self._known[fold(form)] = label.name
        self._mapped: Counter[tuple[str, str]] = Counter()

    def find(self, written: str) -> str | None:
        """Return the label's name in the scheme, or None if no label is written like this."""
        if written in self.scheme.names:
            return written
        name = self._known.get(fold(written))
        if name is not None:
            self._mapped[written.strip(), name] += 1
        return name

    def notes(self) -> Iterator[Problem]:
        """Yield, as warnings, how labels in another form were read."""
        for (written, name), count in sorted(self._mapped.items()):
            what = f"label {written!r} read as {name}: {counted(count, 'time')}"
            yield Problem(self._file, what, "", warning=True)


def fold(written: str) -> str:
    """Return what the forms of a label share: no case, no marks, one sign between words, 0 to 9."""
    plain = _BETWEEN.sub("_", NORMALIZERS["light"].apply(written).strip()).casefold()
    return _DIGIT.sub(lambda digit: str(int(digit[0])), plain)


def as_written(label: Any) -> Any:
    """Return a label that a file holds as a number as text; other values as they are."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return str(label) if isinstance(label, int) and not isinstance(label, bool) else label
