"""`rasd train`, `evaluate`, `export` and `validate` as a person types them: real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
RASD = Path(sys.executable).with_name("rasd")


def rasd(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RASD, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def refused(*arguments: object) -> str:
    run = rasd(*arguments)
    assert run.returncode == 2, run.stderr
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    return run.stderr


def labelled(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "labelled.jsonl"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def test_train_evaluate_and_export_in_a_row(tiny_encoder, authored, tmp_path):
    data = labelled(tmp_path, authored[:200])
    out = tmp_path / "run"
    run = rasd(
        *("train", "configs/arabert.yaml", "--out", out),
        *("--set", f"encoder={tiny_encoder}", "--set", f"data.train=[{data}]"),
        *("--set", "max_length=48", "--set", "optimisation.epochs=1"),
        *("--set", "export.min_agreement=0.9"),
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == str(out / "bundle")
    assert "epoch 1 of 1: macro-F1" in run.stderr

    run = rasd("evaluate", data, "--model", out / "bundle", "--out", tmp_path / "evaluation")
    assert run.returncode == 0, run.stderr
    names = {path.name for path in (tmp_path / "evaluation").iterdir()}
    pictures = {"confusion_matrix.png", "reliability.png", "coverage.png"}
    assert names == {"metrics.json", "report.html", *pictures}

    run = rasd("export", out / "checkpoint", "--out", tmp_path / "again")
    assert run.returncode == 0, run.stderr
    assert rasd("validate", tmp_path / "again", data, "configs/compact.yaml").returncode == 0


def test_an_unknown_label_is_named_with_its_line_and_nothing_is_written(authored, tmp_path):
    rows = authored[:10]
    data = labelled(tmp_path, [*rows[:6], rows[6] | {"label": "attack"}, *rows[7:]])
    error = refused(
        "train", "configs/compact.yaml", "--set", f"data.train=[{data}]", "--out", tmp_path / "run"
    )
    assert f"{data}: line 7" in error
    assert "'attack'" in error or '"attack"' in error
    assert error.count("\n") == 2
    assert not (tmp_path / "run").exists()


def test_a_misspelt_key_is_named_and_the_right_one_offered(tmp_path):
    error = refused(
        "train", "configs/compact.yaml", "--set", "optimisation.epoch=1", "--out", tmp_path / "run"
    )
    assert "epoch" in error
    assert "epochs" in error
    assert not (tmp_path / "run").exists()


def test_an_encoder_that_is_nowhere_is_named(tmp_path):
    error = refused(
        *("train", "configs/compact.yaml", "--out", tmp_path / "run"),
        *("--set", f"encoder={tmp_path / 'none'}"),
    )
    assert "none" in error
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path):
    assert str(tmp_path) in refused("export", tmp_path, "--out", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("command", ["evaluate", "validate"])
def test_a_missing_file_is_named(command, tmp_path):
    assert "none.jsonl" in refused(command, tmp_path / "none.jsonl")


def test_an_output_that_the_system_refuses_is_named(authored, tmp_path):
    file = labelled(tmp_path, authored[:20])
    run = rasd("evaluate", file, "--model", "fast", "--out", "/proc/report")
    assert run.returncode == 1
    first, second = run.stderr.splitlines()[-2:]
    assert first.startswith("rasd: /proc/report: ")
    assert second.startswith("Check that it exists")
