"""The corrections of a service's database as a labelled file."""

import json
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import make_url

from serving.atomic import atomic_file
from serving.feedback import open_store
from serving.service.feedback_export import LabelledRow
from training.labelled.fields import FieldNames
from training.labelled.reading import DEFAULT_NAMES


def write_feedback(database: str, path: Path, fields: FieldNames = DEFAULT_NAMES) -> Path:
    """Write every correction in a database (an SQLAlchemy URL) to a JSON Lines file; return it.

    Text and label are under the names of `fields`, as the files beside it have them. Raises
    InputError if there is no such database, StoreError if it fails.
    """
    store = open_store(database, create=False)
    try:
        with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
            for correction in store.corrections():
                row = LabelledRow.of(correction).as_dict()
                row[fields.text or "text"] = row.pop("text")
                row[fields.label or "label"] = row.pop("label")
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    finally:
        store.close()
    return path


def without_password(command: Sequence[str], database: str) -> list[str]:
    """Return a command's arguments, `***` in place of the password in a database's URL.

    Reports and bundles keep the command, and bundles are published.
    """
    url = make_url(database)
    query = {name: url.query[name] for name in url.query if "password" not in name}
    shown = url.set(query=query).render_as_string(hide_password=True)
    return [argument.replace(database, shown) for argument in command]
