"""One record to a document: which fields hold its text, id and title, and which are carried."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from serving.errors import InputError, Problem
from serving.files.damage import check_repair, inspected
from serving.files.html_text import html_to_text
from serving.files.row import MAX_RECORD, Row, Wanted, listed, lookup, named
from serving.records import COLUMNS, Document

Unit = Literal["document", "sentence"]

DEFAULT_ID_FIELD = "id"
# Where a text is looked for when no field is named, the first of them first.
USUAL_TEXT_FIELDS = ("text", "body", "content", "full_text", "message", "النص")
# Carries every field.
ALL = "all"
# What `--carry` offers besides the record's fields: the text that offsets refer to.
DOCUMENT_TEXT = "document_text"
# Levels of lists and objects that a carried field may have. Python reads some 1,000, but a writer,
# which is called from deeper functions, can fail at that.
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file becomes documents.

    With the unit `sentence` every record, or every line of a text file, is a document of its own.
    Without `text_field` the first of USUAL_TEXT_FIELDS that a record has is its text. A field may
    be a dotted path into nested objects. `carry` names fields that go to the output, ALL or
    DOCUMENT_TEXT. `repair` undoes wrong decoding where nothing is lost by it. `text_option` is what
    sets the text field, for error messages.
    """

    unit: Unit = "document"
    text_field: str | None = None
    id_field: str = DEFAULT_ID_FIELD
    text_option: str = "--text-field"
    title_field: str | None = None
    carry: tuple[str, ...] = ()
    repair: bool = False

    @property
    def text_names(self) -> tuple[str, ...]:
        """The fields that may hold the text."""
        return (self.text_field,) if self.text_field else USUAL_TEXT_FIELDS

    @property
    def wanted(self) -> Wanted:
        """The text field as a reader of tables looks for it."""
        return Wanted(self.text_names, f"Name the right one with {self.text_option}.")

    def check(self) -> None:
        """Raise InputError for what cannot be done, before anything is read."""
        for name in self.carry:
            if name in COLUMNS:
                raise InputError(
                    f"--carry {name}: the output has a field of this name already",
                    f"Rename the input's field; the output's own are {', '.join(COLUMNS)}.",
                )
        if self.repair:
            check_repair()


def document_of(file: str, row: Row, options: ReadOptions) -> Document | Problem:
    """Return the document of one record, or what is wrong with the record.

    `file` begins the id of a record without one. The fields that are neither id nor text are the
    document's metadata.
    """
    found = _text(row, options)
    if isinstance(found, Problem):
        return found
    name, text = found
    identifier = _identifier(file, row, options)
    title = _title(row, options)
    notes = [f"text from the field {name!r}"] if name not in (options.text_field, "text") else []
    text, is_html = (text, False) if row.plain else html_to_text(text)
    if is_html:
        notes.append("HTML turned into text")
    used = (name, options.id_field)
    metadata = {
        key: value
        for key, value in row.fields.items()
        if key not in used and not (key in options.text_names and _is_blank(value))
    }
    carried = _carried(row, metadata, options, notes)
    for part in (identifier, title, carried):
        if isinstance(part, Problem):
            return part
    assert isinstance(identifier, str)
    assert isinstance(title, str)
    assert isinstance(carried, dict)
    if deep := next((key for key, value in carried.items() if _is_deep(value)), None):
        return row.problem(
            f"the field {deep!r} is nested deeper than {_DEPTH} levels", "Do not carry this field."
        )
    if title.strip():
        title = title if row.plain else html_to_text(title)[0]
        text = f"{title.strip()}\n{text}"
    if len(text) > MAX_RECORD:
        return row.too_long(len(text))
    return finished(Document(identifier, text, metadata, carried, None, tuple(notes)), options)


def finished(document: Document, options: ReadOptions) -> Document:
    """Return a document with the damage of its text found, and its text carried if asked for."""
    text, damage = inspected(document.text, repair=options.repair)
    carried = document.carried
    if DOCUMENT_TEXT in options.carry:
        carried = carried | {DOCUMENT_TEXT: text}
    elif damage is None:
        return document
    notes = (*document.notes, damage) if damage else document.notes
    return Document(document.id, text, document.metadata, carried, damage, notes)


def _text(row: Row, options: ReadOptions) -> tuple[str, str] | Problem:
    """Return the field that holds the text, and the text."""
    present = _found(row.fields, options.text_names)
    if not present:
        return _missing(row, options.text_names[0], options.text_option)
    name, value = next((pair for pair in present if not _is_blank(pair[1])), present[0])
    text = _joined(value)
    if text is None:
        return row.problem(
            f"the field {name!r} is {named(value)}, "
            f"not a string; the fields are {listed(row.fields)}",
            f"Give every record a text, or name another field with {options.text_option}.",
        )
    return name, text


def _found(fields: dict[str, Any], names: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return the names that the record has, with their values."""
    pairs = ((name, lookup(fields, name)) for name in names)
    return [(name, found[0]) for name, found in pairs if found]


def _is_blank(value: object) -> bool:
    text = _joined(value)
    return not (value if text is None else text.strip())


def _joined(value: object) -> str | None:
    """Return a text, or paragraphs joined by newlines; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    return None


def _identifier(file: str, row: Row, options: ReadOptions) -> str | Problem:
    found = lookup(row.fields, options.id_field)
    identifier = found[0] if found else None
    if isinstance(identifier, list | dict):
        return row.problem(
            f"the field {options.id_field!r} is {named(identifier)}, not a string",
            "Name a field of strings or numbers with --id-field.",
        )
    if identifier is None or identifier == "":
        # Only a field that was asked for by name must be there.
        if options.id_field != DEFAULT_ID_FIELD and not found:
            return _missing(row, options.id_field, "--id-field")
        return f"{file}:{row.number}"
    return identifier if isinstance(identifier, str) else json.dumps(identifier)


def _title(row: Row, options: ReadOptions) -> str | Problem:
    if options.title_field is None:
        return ""
    found = lookup(row.fields, options.title_field)
    if not found:
        return _missing(row, options.title_field, "--title-field")
    if found[0] is None:
        return ""
    title = _joined(found[0])
    if title is None:
        what = f"the field {options.title_field!r} is {named(found[0])}, not a string"
        return row.problem(what, "Name a field of strings with --title-field.")
    return title


def _carried(
    row: Row, metadata: dict[str, Any], options: ReadOptions, notes: list[str]
) -> dict[str, Any] | Problem:
    if ALL in options.carry:
        if own := next((name for name in metadata if name in COLUMNS), None):
            return row.problem(
                f"the field {own!r} cannot be carried: the output has one of this name",
                "Name the fields to carry: --carry date,source.",
            )
        return metadata
    carried = {}
    for name in options.carry:
        if name == DOCUMENT_TEXT:
            continue
        found = lookup(row.fields, name)
        carried[name] = found[0] if found else None
        if not found:
            notes.append(f"no field {name!r} to carry")
    return carried


def _is_deep(value: object) -> bool:
    """Tell whether lists and objects are nested deeper than a writer can be sure to write."""
    level = [value]
    for _ in range(_DEPTH):
        parts = [part for part in level if isinstance(part, list | dict)]
        level = [
            item for part in parts for item in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return False
    return True


def _missing(row: Row, field: str, option: str) -> Problem:
    return row.problem(
        f"no field {field!r}; the fields are {listed(row.fields)}",
        f"Name the right one with {option}.",
    )
