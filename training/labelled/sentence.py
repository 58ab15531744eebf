"""A labelled sentence: its text, its label and where they come from."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LabelledSentence:
    """A sentence, its label and where they come from.

    `sure` is false when the annotator found another label nearly as good, and `second` is that
    label, where the file has it. `split` is the side that the file asks for, or None. `place` names
    file and line. `columns` are the file's other fields that hold a short string.
    """

    text: str
    label: str
    id: str | None
    source: str | None
    date: str | None
    split: str | None
    sure: bool
    file: Path
    line: int
    place: str
    second: str | None = None
    columns: dict[str, str] = field(default_factory=dict, hash=False)
