"""Exports of doccano, Argilla, Prodigy and Label Studio (JSON-MIN) to rows with text and label.

The forms are those that the tools document. A label of a part of the text makes that part a
sentence. Every annotator's label is a row, so that disagreement is seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from serving.errors import Problem
from serving.files.row import Row, listed
from serving.terminal import counted
from training.labelled.fields import FieldNames

_ONE_LABEL = "Choose one label per sentence."
_LABEL_REMEDY = "Name that of the label with --label-field (data.label_field in a configuration)."


class SeveralLabelsError(Exception):
    """A record with several labels for one text."""


class FormError(Exception):
    """A record is not of its tool's form; the message says what is wrong."""


# The fields of the rows that a record makes: none if nobody labelled it, None for another form.
_Found = list[dict[str, Any]] | None


class AnnotationTools:
    """The records of one file, whose `names` say where text and label are."""

    def __init__(self, file: str, names: FieldNames) -> None:
        self._file = file
        self._text = names.text or "text"
        self._label = names.label
        self._unlabelled = 0
        self._several: list[Row] = []
        self._forms: tuple[Callable[[dict[str, Any]], _Found], ...] = (
            self._prodigy,
            self._argilla_responses,
            self._argilla_columns,
            self._argilla_annotation,
            self._label_list,
        )

    def rows(self, row: Row) -> Iterator[Row | Problem] | None:
        """Return the rows of a tool's record; None for a record with its own text and label."""
        try:
            found = next((f for form in self._forms if (f := form(row.fields)) is not None), None)
        except SeveralLabelsError:
            self._several.append(row)
            return iter(())
        except FormError as error:
            return iter([row.problem(str(error), "Export the records again.")])
        if found is None:
            return None
        self._unlabelled += not found
        return (replace(row, fields=fields) for fields in found)

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the file as a whole, once its records are read."""
        if self._several:
            where = self._several[0].where
            records = counted(len(self._several), "record")
            what = f"{records} with several labels, the first is {where}"
            yield Problem(self._file, what, _ONE_LABEL)
        if self._unlabelled:
            records = counted(self._unlabelled, "record")
            what = f"skipped {records} without a label that someone submitted"
            yield Problem(self._file, what, "", warning=True)

    def _prodigy(self, fields: dict[str, Any]) -> _Found:
        """Read `answer` with `accept`, `spans` or `label`."""
        if not isinstance(fields.get("answer"), str):
            return None
        if fields["answer"] not in ("accept", "reject", "ignore"):
            raise FormError(f"'answer' is {fields['answer']!r}, not accept, reject or ignore")
        if fields["answer"] != "accept":
            return []
        about = {
            "annotator": fields.get("_annotator_id"),
            "date": _moment(fields.get("_timestamp")),
        }
        fields = about | fields
        if "accept" in fields:
            return self._labelled(fields, fields["accept"])
        spans = fields.get("spans")
        # Of a text whose label is accepted, spans without labels are what a pattern has matched.
        if spans and not (
            isinstance(spans, list)
            and fields.get("label")
            and not any(isinstance(span, dict) and span.get("label") for span in spans)
        ):
            return self._labelled(fields, spans)
        return self._labelled(fields, fields.get("label"))

    def _argilla_responses(self, fields: dict[str, Any]) -> _Found:
        """Read `fields` and `responses`: a list (Argilla 1) or lists by question (Argilla 2)."""
        texts, responses = fields.get("fields"), fields.get("responses")
        if not isinstance(texts, dict) or not isinstance(responses, (list, dict)):
            return None
        given: list[tuple[str, dict[str, Any]]] = []
        if isinstance(responses, dict):
            for name, many in responses.items():
                given += [(name, one) for one in _objects(many or [], f"the response {name!r}")]
        else:
            for response in _objects(responses, "'responses'"):
                (values,) = _objects([response.get("values") or {}], "'values'")
                answers = _objects([*values.values()], "'values'")
                given += [(name, response | one) for name, one in zip(values, answers, strict=True)]
        chosen = self._question({name for name, _ in given})
        text = texts.get(self._text)
        if not isinstance(text, str):
            raise FormError(f"'fields' has no text {self._text!r}; it has {listed(texts)}")
        rows: list[dict[str, Any]] = []
        for name, one in given:
            if name != chosen or one.get("status", "submitted") != "submitted":
                continue
            about = {"id": fields.get("id"), "text": text, "annotator": one.get("user_id")}
            rows += self._labelled(about, one.get("value"))
        return rows

    def _argilla_columns(self, fields: dict[str, Any]) -> _Found:
        """Read the columns `QUESTION.responses` of Argilla 2's `to_datasets`."""
        end = ".responses"
        questions = {name.removesuffix(end) for name in fields if name.endswith(end)}
        if not questions:
            return None
        name = self._question(questions)
        values = fields.get(f"{name}{end}") or []
        if not isinstance(values, list):
            raise FormError(f"{name}{end} is {values!r}, not a list"[:100])
        users = fields.get(f"{name}{end}.users") or [None] * len(values)
        states = fields.get(f"{name}{end}.status") or ["submitted"] * len(values)
        if any(not isinstance(one, list) or len(one) != len(values) for one in (users, states)):
            raise FormError(f"{name}{end} and its users and status are not lists of one length")
        rows: list[dict[str, Any]] = []
        for value, user, state in zip(values, users, states, strict=True):
            if state == "submitted":
                about = {"id": fields.get("id"), "text": fields.get(self._text), "annotator": user}
                rows += self._labelled(about, value)
        return rows

    def _argilla_annotation(self, fields: dict[str, Any]) -> _Found:
        """Read `annotation` of Argilla 1's text classification."""
        if "annotation" not in fields or "prediction" not in fields:
            return None
        inputs = fields.get("inputs")
        text = fields.get("text") or (inputs.get(self._text) if isinstance(inputs, dict) else None)
        if fields["annotation"] is None or fields.get("status") == "Discarded":
            return []
        about = {
            "id": fields.get("id"),
            "text": text,
            "annotator": fields.get("annotation_agent"),
            "date": fields.get("event_timestamp"),
        }
        return self._labelled(about, fields["annotation"])

    def _label_list(self, fields: dict[str, Any]) -> _Found:
        """Read doccano's lists of labels and spans, and those of Label Studio's JSON-MIN."""
        names = (self._label,) if self._label else ("label", "labels", "entities")
        name = next((name for name in names if name in fields), None)
        if name is None or not isinstance(fields[name], (list, dict)):
            return None
        value = fields[name]
        if isinstance(value, dict):  # Label Studio's JSON-MIN, if a choice has several
            value = value.get("choices", value)
        return self._labelled(fields | {"text": fields.get(self._text)}, value)

    def _question(self, names: set[str]) -> str | None:
        if self._label:
            return self._label
        if len(names) > 1:
            raise FormError(f"questions {listed(sorted(names))}. {_LABEL_REMEDY}")
        return next(iter(names), None)

    def _labelled(self, fields: dict[str, Any], value: Any) -> list[dict[str, Any]]:
        """Return the rows of one annotator's value: one label, a list of one, or spans."""
        kept = {name: one for name, one in fields.items() if one is not None and name != "spans"}
        if isinstance(value, list):
            if any(isinstance(item, (list, dict)) for item in value):
                return [kept | self._span(fields.get("text"), item) for item in value]
            if len(value) > 1:
                raise SeveralLabelsError
            value = value[0] if value else None
        return [] if value is None else [kept | {"label": value}]

    @staticmethod
    def _span(text: Any, item: Any) -> dict[str, Any]:
        """Return text and label of a part of the text."""
        if isinstance(item, list) and len(item) == 3:
            start, end, label = item
        elif isinstance(item, dict):
            start = item.get("start", item.get("start_offset"))
            end = item.get("end", item.get("end_offset"))
            label = item.get("label", item.get("labels"))
            if isinstance(label, list):
                if len(label) > 1:
                    raise SeveralLabelsError
                label = label[0] if label else None
        else:
            raise FormError(f"a span is {item!r}, not [start, end, label]")
        quoted = item.get("text") if isinstance(item, dict) else None
        return {"text": part(text, start, end, quoted), "label": label}


def _moment(seconds: Any) -> str | None:
    """Return seconds since 1970 as a date of the ISO 8601 form; None for anything else."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _objects(value: Any, where: str) -> list[dict[str, Any]]:
    """Return the value if it is a list of objects, else raise FormError."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    raise FormError(f"{where} is {value!r}, not a list of objects"[:100])


def part(text: Any, start: Any, end: Any, quoted: str | None = None) -> str:
    """Return the text from offset `start` to `end`, in code points.

    A browser counts in UTF-16; where `quoted` shows that, its offsets are read so. Raises
    FormError for offsets outside the text, or a part that is not as quoted.
    """
    if not isinstance(text, str) or type(start) is not int or type(end) is not int:
        raise FormError(f"a span from {start!r} to {end!r} of the text {text!r}"[:100])
    if 0 <= start < end:
        found = text[start:end]
        if end <= len(text) and (quoted is None or _words(found) == _words(quoted)):
            return found
        units = text.encode("utf-16-le", "surrogatepass")[2 * start : 2 * end]
        found = units.decode("utf-16-le", "replace")
        if quoted is not None and _words(found) == _words(quoted):
            return found
    what = f"a span from {start} to {end}, of a text of {len(text)} characters"
    raise FormError(what + (", is not the text that it quotes" if quoted else ""))


def _words(text: Any) -> list[str]:
    """Return what a text and its quotation share.

    Label Studio quotes what its page shows: spaces are collapsed, and a line break is written as a
    backslash and an n.
    """
    return str(text).replace("\\n", " ").split()
