"""Labelled sentences: read from files, all problems reported at once, one label per text."""

import dataclasses
import hashlib
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.errors import Problem, did_you_mean, refusal
from serving.files.damage import inspected
from serving.files.fields import USUAL_TEXT_FIELDS
from serving.files.row import Row, Wanted, listed
from serving.files.rows import read_rows, unreadable
from serving.files.sources import recognise, suffix_of
from serving.labels import LabelScheme
from training.labelled.agreement import agreement
from training.labelled.annotation_tools import AnnotationTools
from training.labelled.conflicts import Conflicts, settle
from training.labelled.fields import FieldNames
from training.labelled.label_names import LabelNames, as_written
from training.labelled.label_studio import LabelStudio
from training.labelled.sentence import LabelledSentence

# What a file may hold as a number, and is a name.
_WRITTEN = ("label", "second", "annotator")
_NO_CHARACTER = re.compile("[\0\ud800-\udfff]")  # NUL, and half a surrogate pair
_LONGEST_COLUMN = 60  # characters; what is longer is a text, not a kind of sentence

Normalize = Callable[[str], str]
DEFAULT_NAMES = FieldNames()


class _Fields(BaseModel):
    """The fields of a labelled sentence that have a meaning here; others are ignored.

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
    second: str | None = Field(default=None, strict=True, description="a label, or nothing")


@dataclass(frozen=True, slots=True)
class LabelledData:
    """What labelled files hold once every text has one label.

    `counts` has every label of the scheme, in its order. `fingerprint` depends only on the
    normalised texts and their labels, not on files or order.
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
    names: FieldNames = DEFAULT_NAMES,
) -> LabelledData:
    """Read labelled files of every form; keep each text once.

    Texts are the same if `normalize` makes the same of them, since that is what the model sees.
    `conflicts` says what to do with a text that has two labels: `stop` raises InputError, `drop`
    leaves all its sentences out, `first` keeps the first, `newest` that of the latest `date` (all
    must have one), `majority` keeps the label that most of them have and leaves ties out. `keep`
    keeps every sentence, also those that repeat another. Text that looks damaged is kept, with a
    warning. Raises InputError with the problems of all the files.
    """
    problems: list[Problem] = []
    by_text: dict[str, list[LabelledSentence]] = defaultdict(list)
    for path in paths:
        for item in _sentences(path, scheme, normalize, names):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                key, sentence = item
                by_text[key].append(sentence)

    rated = [
        {s.columns["annotator"]: s.label for s in group if "annotator" in s.columns}
        for group in by_text.values()
    ]
    if said := agreement(rated):
        problems.append(Problem("annotators", said, "", warning=True))
    sentences: list[LabelledSentence] = []
    for group in by_text.values():
        kept, found = settle(group, conflicts)
        sentences.extend(kept)
        problems.extend(found)
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


def _sentences(
    path: Path, scheme: LabelScheme, normalize: Normalize, names: FieldNames
) -> Iterator[tuple[str, LabelledSentence] | Problem]:
    """Yield the sentences of one file after their normalised text, and what is wrong with it."""
    rows = 0
    labels = LabelNames(str(path), scheme)
    damaged: list[str] = []
    for row in _labelled_rows(path, names):
        rows += 1
        if isinstance(row, Problem):
            yield row
            continue
        sentence = _check_fields(path, row, labels)
        if not isinstance(sentence, LabelledSentence):
            yield from sentence
            continue
        key = normalize(sentence.text)
        if what := _unreadable(sentence, key):
            yield row.problem(what, "Write the sentence, or remove the record.")
            continue
        if damage := inspected(sentence.text)[1]:
            damaged.append(f"line {row.line}: {damage}")
        yield key, sentence
    yield from labels.notes()
    if damaged:
        what = f"texts that look damaged: {len(damaged):,}, the first in {damaged[0]}"
        yield Problem(str(path), what, "", warning=True)
    if not rows:
        yield Problem(str(path), "holds no labelled sentence", "Name a file that does.")


def _labelled_rows(path: Path, names: FieldNames) -> Iterator[Row | Problem]:
    """Yield the rows of one file, their text and label always as `text` and `label`."""
    source = recognise(path, str(path))
    if source.kind not in ("jsonl", "json", "csv", "tsv", "parquet", "arrow", "xlsx"):
        what = f"not a labelled file: its name ends in {suffix_of(path)}"
        remedy = "Name a .jsonl, .json, .csv, .tsv, .xlsx or .parquet file."
        yield Problem(str(path), what, remedy)
        return
    label = names.label or "label"
    texts = (names.text,) if names.text else tuple(n for n in USUAL_TEXT_FIELDS if n != label)
    remedies = {
        name: f"Name the right one with --{field}-field (data.{field}_field in a configuration)."
        for field, name in (("text", texts[0]), ("label", label))
    }
    wanted = [_TextColumn(texts, remedies[texts[0]]), Wanted((label,), remedies[label])]
    others: Counter[str] = Counter()
    label_studio = LabelStudio(str(path), names)
    tools = AnnotationTools(str(path), names)
    try:
        with source.open() as file:
            for row in read_rows(source, file, wanted):
                if isinstance(row, Problem):
                    yield row
                elif label_studio.is_task(row):
                    yield from label_studio.rows(row)
                elif (found := tools.rows(row)) is not None:
                    yield from found
                else:
                    text = _text_field(texts, row.fields)
                    others[text] += text != texts[0]
                    yield from _renamed(row, {"text": text, "label": label}, remedies)
    except OSError as error:
        yield unreadable(source, error)
    for name, count in (+others).items():
        what = f"no field {texts[0]!r}: text read from the field {name!r}, {count:,} times"
        yield Problem(str(path), what, "", warning=True)
    yield from label_studio.problems()
    yield from tools.problems()


def _text_field(names: Sequence[str], fields: Iterable[str]) -> str:
    """Return the only one of `names` that a record has, else the first of them."""
    there = set(names).intersection(fields)
    return there.pop() if len(there) == 1 else names[0]


class _TextColumn(Wanted):
    """The text of a table, under the first of the names or the only other one."""

    def missing(self, where: str, header: Iterable[str]) -> Problem | None:
        """Return the problem of a table with none of the names, or several but not the first."""
        columns = list(header)
        return Wanted((_text_field(self.names, columns),), self.remedy).missing(where, columns)


def _renamed(row: Row, names: dict[str, str], remedies: dict[str, str]) -> Iterator[Row | Problem]:
    """Yield the row with its text and label under the keys of `names`, or what is missing."""
    if missing := [name for name in names.values() if name not in row.fields]:
        for name in missing:
            what = f"no field {name!r}; the fields are {listed(row.fields)}"
            yield row.problem(what, remedies[name] + did_you_mean(name, row.fields))
        return
    others = {name: value for name, value in row.fields.items() if name not in names.values()}
    fields = others | {field: row.fields[name] for field, name in names.items()}
    yield dataclasses.replace(row, fields=fields)


def _check_fields(path: Path, row: Row, names: LabelNames) -> LabelledSentence | list[Problem]:
    """Return the row as a sentence, or what is wrong with its fields."""
    # An empty cell, a null in some formats, is a field that was not given.
    given = {
        name: value
        for name, value in row.fields.items()
        if (value is not None and value != "") or name == "text"
    }
    given.setdefault("label", "")
    if "annotation_id" in given and "updated_at" in given:  # JSON-MIN and CSV of Label Studio
        given.setdefault("date", given["updated_at"])
    given |= {name: as_written(given[name]) for name in _WRITTEN if name in given}
    try:
        fields = _Fields.model_validate(given)
    except ValidationError as error:
        problems = {}
        for detail in error.errors():
            name = str(detail["loc"][0])
            what = f"{name!r} is {_clip(detail['input'])}"
            remedy = f"It must be {_Fields.model_fields[name].description}."
            problems[name] = row.problem(what, remedy)
        return list(problems.values())
    labels = {name: getattr(fields, name) for name in ("label", "second")}
    found = {name: names.find(label) for name, label in labels.items() if label is not None}
    if unknown := [name for name, label in found.items() if label is None]:
        return [label_problem(row, labels[name], names.scheme, name) for name in unknown]
    columns = {
        name: value
        for name, value in given.items()
        if name not in _Fields.model_fields
        and isinstance(value, str)
        and len(value) <= _LONGEST_COLUMN
    }
    return LabelledSentence(
        **(fields.model_dump() | found), file=path, line=row.line, place=row.where, columns=columns
    )


def label_problem(row: Row, label: str, scheme: LabelScheme, field: str = "label") -> Problem:
    """Return what is wrong with a label that the scheme does not have."""
    if not label.strip():
        what, near = f"{field!r} is empty", ""
    else:
        what = f"unknown label {_clip(label)}" + (f" in {field!r}" if field != "label" else "")
        arabic = [entry.arabic for entry in scheme.labels]
        near = did_you_mean(label, scheme.names) or did_you_mean(label, arabic)
    return row.problem(what, f"The labels are {', '.join(scheme.names)}.{near}")


def _unreadable(sentence: LabelledSentence, normalized: str) -> str | None:
    """Return why a sentence cannot be learned from or written to a file, if that is so."""
    text = sentence.text
    fields = {name: getattr(sentence, name) for name in ("text", "id", "source", "date")}
    for name, value in (fields | sentence.columns).items():
        if value and (found := _NO_CHARACTER.search(value)):
            return f"{name!r} holds U+{ord(found[0]):04X}, which is not a character"
    if not text.strip():
        return "'text' is empty"
    if not normalized.strip():
        return f"'text' is {_clip(text)}, which is empty after normalising"
    if not any(unicodedata.category(c)[0] in "LN" for c in text):
        return f"'text' is {_clip(text)}, which has no letter or digit"
    return None


def _clip(value: object) -> str:
    """Return the value as JSON would write it, cut to a length that fits a line."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:59] + "…"
