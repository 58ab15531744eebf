"""Labelled Excel and Parquet files: read by every command, and refused in two lines."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
import yaml
from labelled_files import read, refused
from pyarrow import parquet

from serving.bundle import Bundle

ROOT = Path(__file__).parents[3]
EXPORTS = Path(__file__).parent / "exports"
RASD = Path(sys.executable).with_name("rasd")
CLAIM = "تبنت كتائب السدرة تفجير الجسر."


def workbook(path: Path, *sheets: Iterable[Iterable[object]]) -> Path:
    book = openpyxl.Workbook()
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"s{number + 1}")
        for row in rows:
            sheet.append(row)
    book.remove(book["Sheet"])
    book.save(path)
    return path


def table(path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), path)
    return path


def rasd(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [RASD, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_empty_cells_are_fields_that_were_not_given():
    """In the files, as a desk has them, are also Arabic labels, numbers and a second sheet."""
    for name in ("table.xlsx", "table.parquet"):
        sentences = read(EXPORTS / name).sentences
        assert [sentence.sure for sentence in sentences] == [True, True, False]
    first, *_ = read(EXPORTS / "table.xlsx").sentences
    assert (first.id, first.columns["annotator"]) == ("1", "سلمى")
    assert first.place.endswith("table.xlsx: sheet 'الجمل': row 2")


XLSX = {
    "no label column": (
        [[["text", "kind"], [CLAIM, "claim"]]],
        "sheet 's1': row 1: no field 'label'; the fields are 'text', 'kind'",
        "--label-field",
    ),
    "a sheet of notes": (
        [[["text", "label"], [CLAIM, "claim"]], [["ask Salma"]]],
        "sheet 's2': row 1: no field 'text'; the fields are 'ask Salma'",
        "--text-field",
    ),
    "unknown label": (
        [[["text", "label"], [CLAIM, "clame"]]],
        "sheet 's1': row 2: unknown label \"clame\"",
        "Did you mean claim?",
    ),
    "empty label": (
        [[["text", "label"], [CLAIM, None]]],
        "sheet 's1': row 2: 'label' is empty",
        "The labels are attack_report, claim",
    ),
    "half a number": (
        [[["text", "label"], [CLAIM, 1.5]]],
        "row 2: 'label' is 1.5",
        "must be a string",
    ),
    "a word for sure": (
        [[["text", "label", "sure"], [CLAIM, "claim", "perhaps"]]],
        "row 2: 'sure' is \"perhaps\"",
        "true or false",
    ),
    "two label columns": (
        [[["text", "label", "label"], [CLAIM, "claim", "claim"]]],
        "sheet 's1': row 1: two columns 'label'",
        "Rename or remove one",
    ),
    "no rows": ([[["text", "label"]]], "holds no labelled sentence", "Name a file that does."),
}


@pytest.mark.parametrize("name", XLSX)
def test_a_wrong_workbook_is_refused_in_two_lines(name, tmp_path):
    sheets, problem, remedy = XLSX[name]
    error = refused(workbook(tmp_path / "labels.xlsx", *sheets))
    assert problem in error.problem
    assert remedy in error.remedy
    assert len(str(error).splitlines()) == 2


PARQUET = {
    "no label column": (
        {"text": [CLAIM], "kind": ["claim"]},
        "no field 'label'; the fields are 'text', 'kind'",
    ),
    "unknown label": ({"text": [CLAIM], "label": ["clame"]}, 'row 1: unknown label "clame"'),
    "null label": (
        {"text": [CLAIM], "label": pa.array([None], pa.string())},
        "row 1: 'label' is empty",
    ),
    "number without a label": ({"text": [CLAIM], "label": [9]}, 'row 1: unknown label "9"'),
    "two labels": ({"text": [CLAIM], "label": [["claim", "denial"]]}, "1 record with several"),
    "bytes that are not UTF-8": (
        {"text": pa.array([CLAIM.encode("cp1256")], pa.binary()), "label": ["claim"]},
        "row 1: a value that is damaged, not UTF-8 or out of range",
    ),
    "no rows": (
        {"text": pa.array([], pa.string()), "label": pa.array([], pa.string())},
        "holds no labelled sentence",
    ),
}


@pytest.mark.parametrize("name", PARQUET)
def test_a_wrong_parquet_file_is_refused_in_two_lines(name, tmp_path):
    columns, problem = PARQUET[name]
    error = refused(table(tmp_path / "labels.parquet", **columns))
    assert problem in error.problem
    assert len(str(error).splitlines()) == 2


@pytest.mark.parametrize("name", ["table.xlsx", "table.parquet"])
def test_half_a_file_is_refused_in_two_lines(name, tmp_path):
    half = tmp_path / name
    half.write_bytes((EXPORTS / name).read_bytes()[:900])
    error = refused(half)
    assert (
        f"not a complete {'.xlsx' if half.suffix == '.xlsx' else 'Parquet'} file" in error.problem
    )
    assert len(str(error).splitlines()) == 2


def test_validate_counts_what_is_in_them():
    files = [EXPORTS / name for name in ("table.xlsx", "table.parquet", "table_bytes.parquet")]
    done = rasd("validate", *files)
    assert done.returncode == 0, done.stderr
    counts = "3 sentences, attack_report 1, claim 1, denial 1, official_response 0, other 0"
    for file in files:
        assert f"ok  {file}: {counts}\n" in done.stdout
    assert "label 'تقرير عن هجوم' read as attack_report: 1 time\n" in done.stdout


def test_retrain_merges_them_with_its_base(tmp_path, authored):
    new = authored[300:360]
    files = [
        workbook(
            tmp_path / "desk.xlsx",
            [["text", "label"], *([row["text"], row["label"]] for row in new[:30])],
        ),
        table(
            tmp_path / "desk.parquet",
            text=[row["text"] for row in new[30:]],
            label=[row["label"] for row in new[30:]],
        ),
    ]
    values = yaml.safe_load((ROOT / "configs" / "retrain.yaml").read_text(encoding="utf-8"))
    base = table(
        tmp_path / "base.parquet",
        text=[row["text"] for row in authored[:100]],
        label=[row["label"] for row in authored[:100]],
    )
    config = tmp_path / "retrain.yaml"
    config.write_text(yaml.safe_dump(values | {"base": [str(base)], "output": "out"}))
    done = rasd("retrain", *files, "--config", config, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "60 new sentences: " in done.stderr


def test_train_learns_from_them(tiny_encoder, authored, tmp_path):
    halves = authored[:150], authored[150:300]
    files = [
        workbook(
            tmp_path / "a.xlsx",
            [["text", "label"], *([row["text"], row["label"]] for row in halves[0])],
        ),
        table(
            tmp_path / "b.parquet",
            text=[row["text"] for row in halves[1]],
            label=[row["label"] for row in halves[1]],
        ),
    ]
    settings = {
        "encoder": tiny_encoder,
        "data.train": f"[{', '.join(map(str, files))}]",
        "max_length": 48,
        "export.min_agreement": 0.9,
        "optimisation.epochs": 1,
        "data.dev_fraction": 0.3,
    }
    sets = [f"--set={key}={value}" for key, value in settings.items()]
    done = rasd("train", "configs/arabert.yaml", *sets, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    provenance = Bundle.load(tmp_path / "out" / "bundle").manifest.provenance
    assert provenance
    assert provenance.data.train.sentences + provenance.data.held_out.sentences == 300
