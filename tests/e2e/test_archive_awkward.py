"""Archive runs in awkward circumstances: what is finished is kept, and what differs is named."""

import io
import json
import pickle
import sys
import zipfile

import pytest

from serving.archive import ray_engine
from serving.archive.labeller import Labeller
from serving.cli import main

SENTENCE = "نفت الوزارة سقوط صاروخ قرب الميناء."
OTHER = "أعلنت الكتائب مسؤوليتها عن الهجوم."


@pytest.fixture
def classify(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of its own; return its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = main(["classify", *arguments, "--model", "fast"])
        return code, capsys.readouterr().err

    return run


def write(path, *rows):
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), "utf-8")


def test_standard_input_does_not_replace_another_runs_labels(classify, tmp_path):
    write(tmp_path / "a.jsonl", {"text": SENTENCE})
    assert classify("a.jsonl", "-o", "labels/")[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "labels").iterdir()}
    code, said = classify("-", "-o", "labels/", stdin=json.dumps({"text": OTHER}))
    assert code == 2
    assert "holds another run, which standard input cannot continue" in said
    assert {path: path.read_bytes() for path in (tmp_path / "labels").iterdir()} == before
    assert classify("-", "-o", "labels/", "--restart", stdin=json.dumps({"text": OTHER}))[0] == 0


def test_the_format_that_is_forced_belongs_to_the_run(classify, tmp_path):
    (tmp_path / "a.csv").write_text(f"text\n{SENTENCE}\n", "utf-8")
    assert classify("a.csv", "-o", "labels/", "--input-format", "text")[0] == 0
    code, said = classify("a.csv", "-o", "labels/", "--input-format", "csv")
    assert code == 2
    assert "holds another run" in said


def test_what_differs_between_two_runs_is_named(classify, tmp_path):
    write(tmp_path / "a.jsonl", {"text": SENTENCE, "date": "2024-01-01"})
    assert classify("a.jsonl", "-o", "labels/")[0] == 0
    assert (
        'carry was [], now ["date"]' in classify("a.jsonl", "-o", "labels/", "--carry", "date")[1]
    )


def test_a_value_that_cannot_name_a_folder_sets_its_record_aside(classify, tmp_path):
    rows = [{"text": SENTENCE, "outlet": name} for name in ("وكالة", "و" * 130, "صحيفة")]
    write(tmp_path / "a.jsonl", *rows)
    options = ("--carry", "outlet", "--partition-by", "outlet", "--max-rejected", "1")
    code, said = classify("a.jsonl", "-o", "labels/", *options)
    assert code == 0, said
    assert "set aside 1 of 3 records" in said
    assert len(list((tmp_path / "labels").glob("outlet=*"))) == 2


def test_a_file_whose_rest_was_not_read_is_told(classify, tmp_path):
    lines = [json.dumps({"text": f"{SENTENCE} {n}"}, ensure_ascii=False) for n in range(300)]
    lines[250] = "{broken"
    (tmp_path / "a.json").write_text("\n".join(lines), "utf-8")
    code, said = classify("a.json", "-o", "out.jsonl")
    assert code == 0, said
    assert "1 document: bad, so nothing more of its file was read" in said


def test_one_line_in_another_encoding_costs_no_more_than_itself(classify, tmp_path):
    lines = [json.dumps({"text": f"{SENTENCE} {n}"}).encode() for n in range(50)]  # \\u0646…: ASCII
    lines[20] = '{"text": "نفت الوزارة"}'.encode("cp1256")
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    code, said = classify("a.jsonl", "-o", "out.jsonl")
    assert code == 0, said
    assert "set aside 1 of 50 records" in said
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 49


def test_a_misspelt_field_is_an_error_though_another_file_is_only_not_supported(classify, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.jsonl", json.dumps({"txt": SENTENCE}))
        packed.writestr("photo.jpg", b"\xff\xd8")
    assert classify("a.zip", "-o", "out.jsonl")[0] == 2


def test_a_restart_leaves_a_persons_files_in_the_folder(classify, tmp_path):
    write(tmp_path / "a.jsonl", {"text": SENTENCE})
    assert classify("a.jsonl", "-o", "labels/")[0] == 0
    for name in ("part-mine.txt", "part-a.json"):
        (tmp_path / "labels" / name).write_text("mine", "utf-8")
    code, said = classify("a.jsonl", "-o", "labels/", "--restart")
    assert code == 0, said
    assert (tmp_path / "labels" / "part-mine.txt").read_text("utf-8") == "mine"
    assert (tmp_path / "labels" / "part-a.json").read_text("utf-8") == "mine"


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_field_that_is_nested_too_deeply_sets_its_record_aside(classify, tmp_path, suffix):
    deep = [json.dumps({"text": SENTENCE})]
    deep += [
        f'{{"text": "{SENTENCE}", "x": {"[" * n}{"]" * n}}}' for n in (90, 120, 900, 990, 5000)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(deep), "utf-8")
    code, said = classify("a.jsonl", "-o", f"out.{suffix}", "--carry", "all", "--max-rejected", "9")
    assert code == 0, said
    assert "set aside 4 of 6 records" in said


def test_a_blank_text_beside_the_body_is_not_carried(classify, tmp_path):
    write(tmp_path / "a.jsonl", {"text": "", "body": SENTENCE, "n": 1})
    code, said = classify("a.jsonl", "-o", "out.jsonl", "--carry", "all")
    assert code == 0, said
    record = json.loads((tmp_path / "out.jsonl").read_text("utf-8"))
    assert (record["text"], record["n"]) == (SENTENCE, 1)


def test_a_null_character_does_not_spoil_a_csv_file(classify, tmp_path):
    write(tmp_path / "a.jsonl", {"text": f"نفت\0 {SENTENCE}"})
    assert classify("a.jsonl", "-o", "out.csv")[0] == 0
    assert main(["report", "out.csv", "-o", "report.html"]) == 0
    assert main(["report", "out.csv", "-o", "report.html"]) == 0


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_the_report_finds_what_was_carried_in_every_format(classify, tmp_path, suffix):
    rows = [
        {"text": SENTENCE, "date": "2024-05-01", "outlet": "وكالة"},
        {"text": OTHER, "date": "1445-10-22", "source": "صحيفة"},
    ]
    write(tmp_path / "a.jsonl", *rows)
    assert classify("a.jsonl", "-o", f"out.{suffix}", "--carry", "all")[0] == 0
    assert main(["report", f"out.{suffix}", "-o", "report.html", "--json", "figures.json"]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert {outlet["name"] for outlet in figures["outlets"]} == {"وكالة", "صحيفة"}
    assert len(figures["periods"]["rows"]) == 1  # the other's year is of another calendar


def test_a_folder_of_parts_takes_its_report_twice(classify, tmp_path):
    write(tmp_path / "a.jsonl", {"text": SENTENCE})
    assert classify("a.jsonl", "-o", "labels/")[0] == 0
    for _ in range(2):
        assert main(["report", "labels", "-o", "labels/report.html"]) == 0


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet", "jsonl.gz", "jsonl.zst"])
def test_a_worker_of_a_cluster_loads_its_model_once(classify, tmp_path, monkeypatch, form):
    """Every task brings the job again, and must find the labeller of the one before."""
    seen = []
    monkeypatch.setattr(
        "serving.archive.run.Archive.run", lambda archive, *_, **__: seen.append(archive.job)
    )
    write(tmp_path / "a.jsonl", {"text": SENTENCE})
    with pytest.raises(Exception):  # noqa: B017  nothing was labelled
        classify("a.jsonl", "-o", f"out.{form}")
    loaded = []
    monkeypatch.setattr(Labeller, "__init__", lambda *_: loaded.append(1))
    monkeypatch.setattr(ray_engine.Classifier, "load", lambda *_, **__: None)
    ray_engine._labeller.cache_clear()
    for _ in range(3):
        ray_engine._labeller(pickle.dumps(seen[0]), tmp_path)
    ray_engine._labeller.cache_clear()
    assert len(loaded) == 1
