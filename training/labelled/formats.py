"""The three forms of a labelled file, each read to rows that know their line."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError, model_validator

from serving.errors import Problem, did_you_mean
from serving.files.cells import read_cells

_JSON_LINE = 'Write one object a line: {"text": "…", "label": "…"}.'
_LABEL_STUDIO = "Export the project from Label Studio as JSON (not JSON-MIN)."


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one labelled sentence as the file holds them, not yet checked.

    `line` counts from 1 and is where the sentence begins; `task` tells the tasks of a Label
    Studio export apart, which may all stand on one line.
    """

    file: Path
    line: int
    fields: dict[str, Any]
    task: str = ""

    @property
    def place(self) -> str:
        """The file, the line and, in a Label Studio export, the task."""
        return f"{self.file}: line {self.line}" + (f": {self.task}" if self.task else "")


class _Result(BaseModel):
    """What an annotator did with one control; only choices concern us."""

    type: str
    value: dict[str, Any] = {}

    @model_validator(mode="after")
    def _choices_are_a_list(self) -> "_Result":
        if self.type == "choices" and not isinstance(self.value.get("choices"), list):
            raise ValueError("value.choices is not a list")
        return self


class _Annotation(BaseModel):
    was_cancelled: bool = False
    result: list[_Result] = []


class _Task(BaseModel):
    """One task of a Label Studio export; its other fields are not ours to check."""

    id: int | str
    data: dict[str, Any]
    annotations: list[_Annotation] = []


def read_rows(path: Path) -> Iterator[Row | Problem]:
    """Yield the rows of a labelled file, and a problem wherever there is none to be had.

    The lines are taken apart here rather than by `datasets`, whose readers do not tell which
    line a record came from: an annotator needs that to mend the file.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        yield Problem(
            str(path),
            f"not a labelled file: its name ends in {path.suffix or 'nothing'}",
            "Name a .jsonl, .csv or (from Label Studio) .json file.",
        )
        return
    try:
        data = path.read_bytes()
    except OSError as error:
        yield Problem(
            str(path), f"cannot be read ({error.strerror})", "Name a labelled file that exists."
        )
        return
    text = _decode(path, data)
    if isinstance(text, Problem):
        yield text
    else:
        yield from reader(path, text)


def _decode(path: Path, data: bytes) -> str | Problem:
    """Return the file's text, or where it stops being UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Problem(
            f"{path}: line 1", "the file is UTF-16, not UTF-8", "Save it again as UTF-8."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Problem(
            f"{path}: line {line}",
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            "Save the file as UTF-8; from Windows-1256, the usual other encoding of Arabic: "
            "iconv -f WINDOWS-1256 -t UTF-8 OLD > NEW",
        )
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        return Problem(
            f"{path}: line {line}",
            "holds a NUL character",
            "The file is damaged, or UTF-16 without its mark: restore it or save it as UTF-8.",
        )
    return text


def _json_lines(path: Path, text: str) -> Iterator[Row | Problem]:
    # str.splitlines would also break at U+2028 and U+0085, which may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Problem(place, f"not JSON: {_reason(error)}", _JSON_LINE)
            continue
        if isinstance(fields, dict):
            yield Row(path, number, fields)
        else:
            yield Problem(place, f"holds {_kind(fields)}, not an object", _JSON_LINE)


def _csv(path: Path, text: str) -> Iterator[Row | Problem]:
    reader = read_cells(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        if problem := _header_problem(path, header):
            yield problem
            return
        following = reader.line_num + 1
        for cells in reader:
            number, following = following, reader.line_num + 1
            if not cells:
                continue
            if len(cells) != len(header):
                yield Problem(
                    f"{path}: line {number}",
                    f"{len(cells)} cells under {len(header)} columns",
                    "Put a text that holds the separator between double quotes.",
                )
                continue
            # An empty cell is a field that was not given.
            yield Row(path, number, {n: c for n, c in zip(header, cells, strict=True) if c})
    except csv.Error as error:
        yield Problem(
            f"{path}: line {reader.line_num}",
            f"not CSV: {error}",
            'Close every double quote, and write one inside a text twice: "".',
        )


def _header_problem(path: Path, header: list[str]) -> Problem | None:
    place = f"{path}: line 1"
    for name in ("text", "label"):
        if name in header:
            continue
        remedy = "Name the columns in the first line: text,label."
        return Problem(place, f"no column {name}", remedy + did_you_mean(name, header))
    if len(set(header)) != len(header):
        twice = next(name for name in header if header.count(name) > 1)
        return Problem(place, f"two columns {twice!r}", "Keep one of them.")
    return None


def _label_studio(path: Path, text: str) -> Iterator[Row | Problem]:
    unlabelled = 0
    try:
        for number, item in _array_items(text):
            try:
                task = _Task.model_validate(item)
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(map(str, first["loc"])) or "it"
                what = f"not a Label Studio task ({field}: {first['msg'].lower()})"
                yield Problem(f"{path}: line {number}", what, _LABEL_STUDIO)
                continue
            found = list(_task_rows(path, number, task))
            unlabelled += not found
            yield from found
    except (ValueError, RecursionError) as error:
        number = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        yield Problem(
            f"{path}: line {number}", f"not a list of tasks: {_reason(error)}", _LABEL_STUDIO
        )
    if unlabelled:
        what = f"passed over {unlabelled:,} tasks that nobody has labelled"
        yield Problem(str(path), what, "Label them, or leave them for later.", warning=True)


def _array_items(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the items of a JSON array with their lines; raise ValueError where it is not one."""
    decoder = json.JSONDecoder()
    blank = re.compile(r"[ \t\r\n]*")

    def after_blank(at: int) -> int:
        match = blank.match(text, at)
        return match.end() if match else at

    at = after_blank(0)
    if text[at : at + 1] != "[":
        raise json.JSONDecodeError("Expecting '['", text, at)
    number, counted = 1, 0
    at = after_blank(at + 1)
    while text[at : at + 1] != "]":
        number, counted = number + text.count("\n", counted, at), at
        item, at = decoder.raw_decode(text, at)
        yield number, item
        at = after_blank(at)
        if text[at : at + 1] == ",":
            at = after_blank(at + 1)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' or ']'", text, at)


def _task_rows(path: Path, number: int, task: _Task) -> Iterator[Row | Problem]:
    """Yield one row for every annotation of a task, so that annotators who disagree are seen."""
    text = task.data.get("text")
    if not isinstance(text, str):
        text = next((value for value in task.data.values() if isinstance(value, str)), "")
    name = f"task {task.id}"
    for annotation in task.annotations:
        if annotation.was_cancelled:
            continue
        choices = [c for r in annotation.result if r.type == "choices" for c in r.value["choices"]]
        if len(choices) > 1:
            what = f"one annotation with the labels {' and '.join(map(str, choices))}"
            yield Problem(f"{path}: line {number}: {name}", what, "Choose one label a sentence.")
        elif choices:
            fields = {"id": task.id, **task.data, "text": text, "label": choices[0]}
            yield Row(path, number, fields, name)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _kind(value: object) -> str:
    kinds = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


_READERS: dict[str, Callable[[Path, str], Iterator[Row | Problem]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".json": _label_studio,
}
