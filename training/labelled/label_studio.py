"""Tasks of a Label Studio export to rows with a text and a label."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError, model_validator

from serving.errors import Problem
from serving.files.row import Row, listed
from training.labelled.annotation_tools import FormError, part
from training.labelled.fields import FieldNames

_EXPORT = "Export the project from Label Studio as JSON."


class _Result(BaseModel):
    """What an annotator did with one control: a choice, or the label of a part of the text."""

    type: str
    from_name: str = ""
    to_name: str = ""
    value: dict[str, Any] = {}

    @model_validator(mode="after")
    def _labels_are_a_list(self) -> "_Result":
        # A part of the text that was marked without a label has no `labels`.
        given = self.value.get(self.type, [] if self.type == "labels" else None)
        if self.type in ("choices", "labels") and not isinstance(given, list):
            raise ValueError(f"value.{self.type} is not a list")
        return self


class _Annotation(BaseModel):
    """One annotator's work on a task; `completed_by` is a number, an address or a person."""

    was_cancelled: bool = False
    result: list[_Result] = []
    completed_by: Any = None
    updated_at: str | None = None

    def about(self) -> dict[str, str]:
        """Return who annotated and when, as far as the export says so."""
        who = self.completed_by
        if isinstance(who, dict):
            who = who.get("email") or who.get("id")
        fields = {"annotator": who, "date": self.updated_at}
        return {name: str(value) for name, value in fields.items() if value is not None}


class _Task(BaseModel):
    """One task of an export; its other fields are not ours to check."""

    id: int | str
    data: dict[str, Any]
    annotations: list[_Annotation] = []


class LabelStudio:
    """The tasks of one file, whose `names` say where the text and the label are."""

    def __init__(self, file: str, names: FieldNames) -> None:
        self._file = file
        self._names = names
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
            one
            for annotation in task.annotations
            if not annotation.was_cancelled
            for one in self._labelled(row, task, annotation)
        ]
        self._unlabelled += not found
        yield from found

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the file as a whole, once its tasks are read."""
        control = self._names.label
        if control and self._controls and not self._controls[control]:
            what = f"no control {control!r}; there is {listed(self._controls)}"
            yield Problem(self._file, what, "Name the control that holds the label.")
        elif self._unlabelled:
            what = f"skipped {self._unlabelled:,} tasks that nobody has labelled"
            yield Problem(self._file, what, "Label them, or leave them for later.", warning=True)

    def _labelled(self, row: Row, task: _Task, annotation: _Annotation) -> list[Row | Problem]:
        """Return the rows of one annotation: none where nobody has chosen a label."""
        chosen = self._chosen(row, annotation.result)
        if isinstance(chosen, Problem):
            return [chosen]
        if not chosen:
            return []
        text = self._text(task.data, chosen[0].to_name)
        if text is None:
            what = f"'data' has no text {self._names.text or 'text'!r}; it has {listed(task.data)}"
            remedy = "Name its key with --text-field (data.text_field in a configuration)."
            return [row.problem(what, remedy)]
        about = {"id": task.id, **task.data, **annotation.about()}
        # A choice for a part of the text has its offsets.
        if chosen[0].type == "choices" and not any("start" in r.value for r in chosen):
            labels = [label for result in chosen for label in result.value["choices"]]
            return self._rows(row, [(text, labels)], about)
        try:
            parts = [
                (part(text, v.get("start"), v.get("end"), v.get("text")), v.get(result.type, []))
                for result, v in ((result, result.value) for result in chosen)
            ]
        except FormError as error:
            return [row.problem(str(error), _EXPORT)]
        return self._rows(row, parts, about)

    def _chosen(self, row: Row, results: list[_Result]) -> list[_Result] | Problem:
        """Return what was done with the control of the label, or why that is not clear."""
        choices = [result for result in results if result.type == "choices"]
        parts = [result for result in results if result.type == "labels"]
        if self._names.label:
            self._controls.update(result.from_name for result in [*choices, *parts])
            return [r for r in [*choices, *parts] if r.from_name == self._names.label]
        chosen = choices or parts
        self._controls.update(result.from_name for result in chosen)
        if len(self._controls) > 1:
            what = f"two controls, {listed(self._controls)}"
            remedy = (
                "Name that of the label with --label-field (data.label_field in a configuration)."
            )
            return row.problem(what, remedy)
        if not chosen and (other := next((r for r in results if r.type.endswith("labels")), None)):
            what = f"labels parts of the task (control {other.from_name!r}, type {other.type})"
            return row.problem(what, "Label text, with a Choices or a Labels control.")
        return chosen

    @staticmethod
    def _rows(
        row: Row, found: list[tuple[str, list[Any]]], about: dict[str, Any]
    ) -> list[Row | Problem]:
        """Return a row for every text with one label, and a problem for one with several."""
        rows: list[Row | Problem] = []
        for text, labels in found:
            if len(labels) > 1:
                what = f"one annotation with the labels {' and '.join(map(str, labels))}"
                rows.append(row.problem(what, "Choose one label per sentence."))
            elif labels:
                fields = {**about, "text": text, "label": labels[0]}
                rows.append(Row(row.where, row.line, row.number, fields))
        return rows

    def _text(self, data: dict[str, Any], to_name: str) -> str | None:
        """Return the text under the named key, else the control's own, else `text`."""
        for key in [self._names.text] if self._names.text else [to_name, "text"]:
            if isinstance(text := data.get(key), str):
                return text
        return None
