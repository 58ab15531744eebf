"""Tasks of a Label Studio export to rows with a text and a label."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError, model_validator

from serving.errors import Problem
from serving.files.row import Row, listed

_EXPORT = "Export the project from Label Studio as JSON."


class _Result(BaseModel):
    """What an annotator did with one control; only choices concern us."""

    type: str
    from_name: str = ""
    to_name: str = ""
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
    """One task of an export; its other fields are not ours to check."""

    id: int | str
    data: dict[str, Any]
    annotations: list[_Annotation] = []


class LabelStudio:
    """The tasks of one file.

    `text_field` is the key of `data` that holds the text, and `control` the name of the Choices
    control that holds the label; None where the tasks themselves must show it.
    """

    def __init__(self, file: str, text_field: str | None, control: str | None) -> None:
        self._file = file
        self._text_field = text_field
        self._control = control
        self._controls: Counter[str] = Counter()
        self._unlabelled = 0

    @staticmethod
    def is_task(row: Row) -> bool:
        """Tell a task from a record that has its own text and label."""
        return isinstance(row.fields.get("data"), dict) and "label" not in row.fields

    def rows(self, row: Row) -> Iterator[Row | Problem]:
        """Yield one row for every annotation of a task, so that disagreement is seen."""
        try:
            task = _Task.model_validate(row.fields)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "it"
            what = f"not a Label Studio task ({field}: {first['msg'].lower()})"
            yield row.problem(what, _EXPORT)
            return
        row = Row(f"{self._file}: line {row.line}: task {task.id}", row.line, row.number, task.data)
        found = [
            self._labelled(row, task, annotation.result)
            for annotation in task.annotations
            if not annotation.was_cancelled
        ]
        self._unlabelled += not any(found)
        yield from filter(None, found)

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the file as a whole, once its tasks are read."""
        if self._control is not None and self._controls and not self._controls[self._control]:
            what = f"no Choices control {self._control!r}; there is {listed(self._controls)}"
            yield Problem(self._file, what, "Name the control that holds the label.")
        elif self._unlabelled:
            what = f"skipped {self._unlabelled:,} tasks that nobody has labelled"
            yield Problem(self._file, what, "Label them, or leave them for later.", warning=True)

    def _labelled(self, row: Row, task: _Task, results: list[_Result]) -> Row | Problem | None:
        """Return the row of one annotation, or None where nobody has chosen a label."""
        choices = [result for result in results if result.type == "choices"]
        self._controls.update(result.from_name for result in choices)
        if self._control is not None:
            choices = [result for result in choices if result.from_name == self._control]
        elif len(self._controls) > 1:
            what = f"two Choices controls, {listed(self._controls)}"
            return row.problem(what, "Name the one that holds the label with --label-field.")
        labels = [label for result in choices for label in result.value["choices"]]
        if len(labels) > 1:
            what = f"one annotation with the labels {' and '.join(map(str, labels))}"
            return row.problem(what, "Choose one label per sentence.")
        if not labels:
            if spans := next((r for r in results if r.type.endswith("labels")), None):
                what = f"labels parts of the text (control {spans.from_name!r}, type {spans.type})"
                return row.problem(what, "Label whole sentences, with a Choices control.")
            return None
        text = self._text(task.data, choices[0].to_name)
        if text is None:
            what = f"'data' has no text {self._text_field or 'text'!r}; it has {listed(task.data)}"
            return row.problem(what, "Name the text's key with --text-field.")
        fields = {"id": task.id, **task.data, "text": text, "label": labels[0]}
        return Row(row.where, row.line, row.number, fields)

    def _text(self, data: dict[str, Any], to_name: str) -> str | None:
        """Return the text under the key that was named, else that the control names, else `text`."""
        for key in [self._text_field] if self._text_field else [to_name, "text"]:
            if isinstance(text := data.get(key), str):
                return text
        return None
