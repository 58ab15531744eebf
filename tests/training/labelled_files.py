"""Labelled files for tests, in the forms that people have, and what reading them gives."""

import json
from pathlib import Path

import pytest

from serving.errors import InputError
from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.labelled.fields import FieldNames
from training.labelled.reading import LabelledData, read_labelled

SCHEME = LabelScheme.read(Path(__file__).parents[2] / "configs" / "labels.yaml")
LIGHT = NORMALIZERS["light"].apply


def read(*files: Path, conflicts: str = "stop", **names: str) -> LabelledData:
    return read_labelled(files, SCHEME, LIGHT, conflicts, FieldNames(**names))


def refused(*files: Path, **names: str) -> InputError:
    with pytest.raises(InputError) as caught:
        read(*files, **names)
    return caught.value


def json_lines(path: Path, *rows: dict) -> Path:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def label_studio(path: Path, *tasks: dict, indent: int | None = None) -> Path:
    path.write_text(json.dumps(tasks, ensure_ascii=False, indent=indent), encoding="utf-8")
    return path


def task(number: int, text: str, *labels: str, **annotation: object) -> dict:
    def result(label: str) -> list[dict]:
        choice = {"from_name": "label", "to_name": "text", "type": "choices"}
        return [choice | {"value": {"choices": [label]}}]

    annotations = [
        {"id": n, "result": result(label)} | annotation for n, label in enumerate(labels)
    ]
    return {"id": number, "data": {"text": text}, "annotations": annotations}
