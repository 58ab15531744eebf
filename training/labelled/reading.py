"""Labelled sentences: read from files, every problem told at once, one label a text."""

import hashlib
import json
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.errors import Problem, did_you_mean, refusal
from serving.labels import LabelScheme
from training.labelled.formats import Row, read_rows

_LONGEST_COLUMN = 60  # characters; what is longer is a text, not a kind of sentence

Normalize = Callable[[str], str]
Conflicts = Literal["stop", "drop", "first", "majority"]


class _Fields(BaseModel):
    """The fields of a labelled sentence that mean something here; others are passed over.

    A field's description is what its error message offers as the remedy.
    """

    # An id or a date that JSON holds as a number is still the same id.
    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    text: str = Field(strict=True, description="a string")
    label: str = Field(strict=True, description="a string")
    id: str | None = Field(default=None, description="a string or a number")
    source: str | None = Field(default=None, description="a string or a number")
    date: str | None = Field(default=None, description="a string or a number")
    split: Literal["train", "dev", "validation", "test"] | None = Field(
        default=None, description="train, dev, validation or test"
    )
    sure: bool = Field(default=True, description="true or false")


@dataclass(frozen=True, slots=True)
class LabelledSentence:
    """A sentence, its label and where they stand.

    `sure` is false when the annotator found another label nearly as good. `split` is the side
    that the file asks for, if it does. `place` names file and line. `columns` are the file's
    further fields that hold a short string, by their names.
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
    columns: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class LabelledData:
    """What labelled files hold once every text has one label.

    `counts` has every label of the scheme, in its order. `fingerprint` is the same for the same
    normalised texts and labels, in whatever files and order they stand.
    """

    sentences: list[LabelledSentence]
    warnings: list[str]
    fingerprint: str
    counts: dict[str, int]


def read_labelled(
    paths: Iterable[Path],
    scheme: LabelScheme,
    normalize: Normalize,
    conflicts: Conflicts = "stop",
) -> LabelledData:
    """Read JSON Lines, CSV and Label Studio files; drop texts that stand there twice.

    Texts are the same when `normalize` makes the same of them, since that is what the model
    sees. One text with two labels is settled as `conflicts` says: `stop` refuses the files,
    `drop` leaves all its sentences out, `first` keeps the first, `majority` keeps the label most
    of them have and leaves ties out. Raises InputError with every problem of all the files.
    """
    problems: list[Problem] = []
    by_text: dict[str, list[LabelledSentence]] = defaultdict(list)
    for path in paths:
        rows = 0
        for row in read_rows(path):
            rows += 1
            if isinstance(row, Problem):
                problems.append(row)
                continue
            sentence = _check_fields(row, scheme)
            if isinstance(sentence, LabelledSentence):
                key = normalize(sentence.text)
                if problem := _text_problem(sentence, key):
                    problems.append(problem)
                else:
                    by_text[key].append(sentence)
            else:
                problems.extend(sentence)
        if not rows:
            what = "holds no labelled sentence"
            problems.append(Problem(str(path), what, "Name a file that does."))

    sentences: list[LabelledSentence] = []
    for group in by_text.values():
        kept, told = _settle(group, conflicts)
        sentences.extend(kept)
        problems.extend(told)
    if stopping := [problem for problem in problems if not problem.warning]:
        raise refusal(stopping)
    counts = Counter(sentence.label for sentence in sentences)
    return LabelledData(
        sentences,
        [str(problem) for problem in problems],
        fingerprint(sentences, normalize),
        {name: counts[name] for name in scheme.names},
    )


def fingerprint(sentences: Iterable[LabelledSentence], normalize: Normalize) -> str:
    """Return the SHA-256 of the sorted (normalised text, label) pairs, in hexadecimal."""
    pairs = sorted((normalize(sentence.text), sentence.label) for sentence in sentences)
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def _check_fields(row: Row, scheme: LabelScheme) -> LabelledSentence | list[Problem]:
    """Return the row as a sentence, or what is wrong with its fields."""
    try:
        fields = _Fields.model_validate(row.fields)
    except ValidationError as error:
        problems = {}
        for detail in error.errors():
            name = str(detail["loc"][0])
            if detail["type"] == "missing":
                near = did_you_mean(name, row.fields)
                remedy = "Every sentence needs a text and a label." + near
                problems[name] = Problem(row.place, f"no field {name!r}", remedy)
            else:
                what = f"{name} is {_clip(detail['input'])}"
                remedy = f"It must be {_Fields.model_fields[name].description}."
                problems[name] = Problem(row.place, what, remedy)
        return list(problems.values())
    if fields.label not in scheme.names:
        return [_label_problem(row, fields.label, scheme)]
    columns = {
        name: value
        for name, value in row.fields.items()
        if name not in _Fields.model_fields
        and isinstance(value, str)
        and 0 < len(value) <= _LONGEST_COLUMN
    }
    return LabelledSentence(
        **fields.model_dump(), file=row.file, line=row.line, place=row.place, columns=columns
    )


def _label_problem(row: Row, label: str, scheme: LabelScheme) -> Problem:
    if not label.strip():
        what, near = "the label is empty", ""
    else:
        arabic = {entry.arabic: entry.name for entry in scheme.labels}
        what = f"unknown label {_clip(label)}"
        near = (
            f" Did you mean {arabic[label.strip()]}?"
            if label.strip() in arabic
            else did_you_mean(label, scheme.names)
        )
    return Problem(row.place, what, f"The labels are {', '.join(scheme.names)}.{near}")


def _text_problem(sentence: LabelledSentence, normalized: str) -> Problem | None:
    """Return why a text cannot be learned from, if it cannot."""
    strange = next((c for c in sentence.text if c == "\0" or "\ud800" <= c <= "\udfff"), None)
    if not sentence.text.strip():
        what = "the text is empty"
    elif strange is not None:
        what = f"the text holds U+{ord(strange):04X}, which is no character"
    elif not normalized.strip():
        what = f"the text {_clip(sentence.text)} is empty after normalising"
    elif not any(unicodedata.category(c)[0] in "LN" for c in sentence.text):
        what = f"the text {_clip(sentence.text)} has no letter or digit"
    else:
        return None
    return Problem(sentence.place, what, "Write the sentence, or take the line out.")


def _settle(
    group: list[LabelledSentence], conflicts: Conflicts
) -> tuple[list[LabelledSentence], list[Problem]]:
    """Return the one sentence to keep of those with the same text, if any, and what to tell."""
    first = group[0]
    other = next((sentence for sentence in group if sentence.label != first.label), None)
    if other is None:
        # Annotators who agree on one task stand in one place: nothing to tell of them.
        repeats = [sentence for sentence in group if sentence.place != first.place]
        what = f"the same text and label as {first.place}: left out"
        return [first], [Problem(repeat.place, what, "", warning=True) for repeat in repeats]

    two = f"the same text as {first.place}, there {first.label}, here {other.label}"
    if conflicts == "stop":
        remedy = "Settle on one label, or let data.conflicts be drop, first or majority."
        return [], [Problem(other.place, two, remedy)]
    label = _winner(group, conflicts)
    kept = [next(sentence for sentence in group if sentence.label == label)] if label else []
    outcome = f"kept as {label}" if label else f"all {len(group)} left out"
    return kept, [Problem(other.place, f"{two}: {outcome}", "", warning=True)]


def _winner(group: list[LabelledSentence], conflicts: Conflicts) -> str | None:
    """Return the label that a conflict is settled on, or None to leave its sentences out."""
    if conflicts == "first":
        return group[0].label
    best, second = Counter(sentence.label for sentence in group).most_common(2)
    return best[0] if conflicts == "majority" and best[1] > second[1] else None


def _clip(value: object) -> str:
    """Return the value as JSON would write it, cut to a length that fits a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
