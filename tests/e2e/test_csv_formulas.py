"""CSV that a spreadsheet opens: no text runs as a formula, and rasd reads every text back."""

import csv
import json

import pytest

from serving.feedback import NewCorrection, open_store

TEXTS = ["=HYPERLINK(0)", "+964 قال", "-5 درجات", "@user نفى", "'=1+1", "نفى ذلك."]
NEUTRAL = ["'=HYPERLINK(0)", "'+964 قال", "'-5 درجات", "'@user نفى", "''=1+1", "نفى ذلك."]


@pytest.fixture
def news(tmp_path):
    lines = [json.dumps({"id": f"={i}", "text": text}) for i, text in enumerate(TEXTS)]
    (tmp_path / "news.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def column(path, name):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def classify(rasd, *arguments):
    result = rasd("classify", *arguments, "--unit", "sentence", "--model", "fast")
    assert result.returncode == 0, result.stderr
    return result


def test_classify_writes_neutral_cells_and_reads_the_texts_back(rasd, news):
    classify(rasd, "news.jsonl", "-o", "out.csv")
    assert column(news / "out.csv", "text") == NEUTRAL
    assert column(news / "out.csv", "doc_id") == [f"'={i}" for i in range(len(TEXTS))]
    classify(rasd, "out.csv", "--id-field", "doc_id", "-o", "again.jsonl")
    records = [json.loads(line) for line in (news / "again.jsonl").open(encoding="utf-8")]
    assert [record["text"] for record in records] == TEXTS
    assert [record["doc_id"] for record in records] == [f"={i}" for i in range(len(TEXTS))]
    assert [record["end"] - record["start"] for record in records] == [len(t) for t in TEXTS]
    shown = classify(rasd, "news.jsonl", "--format", "csv").stdout
    assert [row["text"] for row in csv.DictReader(shown.splitlines())] == NEUTRAL


def test_raw_csv_is_the_texts_themselves_and_needs_csv(rasd, news):
    classify(rasd, "news.jsonl", "--raw-csv", "-o", "raw.csv")
    assert column(news / "raw.csv", "text") == TEXTS
    result = rasd("classify", "news.jsonl", "--raw-csv", "-o", "raw.jsonl")
    assert result.returncode == 2
    assert "--raw-csv has no effect on the format jsonl" in result.stderr


def test_exported_corrections_are_neutral(rasd, tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'feedback.db'}")
    store.add(NewCorrection("=1+1 نفى", "denial", "other", "m@1", annotator="@desk", note="-x"))
    store.close()
    values = {"text": "=1+1 نفى", "annotator": "@desk", "note": "-x"}
    assert rasd("feedback", "export", "-o", "out.csv").returncode == 0
    for name, value in values.items():
        assert column(tmp_path / "out.csv", name) == [f"'{value}"]
    assert rasd("feedback", "export", "-o", "raw.csv", "--raw-csv").returncode == 0
    for name, value in values.items():
        assert column(tmp_path / "raw.csv", name) == [value]
    assert rasd("validate", "out.csv").returncode == 0
