"""The corrections of a service's database, SQLite or PostgreSQL, read as labels."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from labelled_files import read

from serving.errors import InputError
from serving.feedback import NewCorrection, open_store
from training.retrain.feedback import without_password, write_feedback

ROOT = Path(__file__).parents[3]
RASD = Path(sys.executable).with_name("rasd")
TEXT = "نفت كتائب السدرة صلتها بتفجير الجسر."


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feedback.db'}"
    url = request.getfixturevalue("postgresql").url
    import psycopg

    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS rasd_corrections")
    return str(url)


@pytest.fixture
def config(authored, tmp_path) -> Path:
    values = yaml.safe_load((ROOT / "configs" / "retrain.yaml").read_text(encoding="utf-8"))
    base = tmp_path / "base.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in authored[:100])
    base.write_text("".join(lines), encoding="utf-8")
    path = tmp_path / "retrain.yaml"
    path.write_text(yaml.safe_dump(values | {"base": ["base.jsonl"], "output": "out"}))
    return path


def dry_run(
    config: Path, database: str, *further: str | Path
) -> "subprocess.CompletedProcess[str]":
    arguments = ["--from-feedback", database, "--config", config, "--dry-run", *further]
    return subprocess.run(
        [RASD, "retrain", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def test_corrections_become_labels_and_annotators_who_disagree_are_seen(database, tmp_path):
    store = open_store(database)
    for annotator, label in (("salma", "denial"), ("karim", "denial"), ("huda", "claim")):
        store.add(NewCorrection(TEXT, label, "other", "default@0", annotator=annotator))
    store.close()
    data = read(write_feedback(database, tmp_path / "labels.jsonl"), conflicts="majority")
    assert [(s.text, s.label, s.source) for s in data.sentences] == [(TEXT, "denial", "feedback")]
    assert any("3 annotators labelled 1 sentence in common" in w for w in data.warnings)


def test_retrain_reads_the_database_that_the_service_writes(database, config, authored):
    store = open_store(database)
    for row in authored[200:260]:
        store.add(NewCorrection(row["text"], row["label"], "other", "default@0"))
    store.close()
    done = dry_run(config, database)
    assert done.returncode == 0, done.stderr
    assert "60 new sentences: " in done.stderr


def test_corrections_go_with_a_file_that_has_other_field_names(
    database, config, authored, tmp_path
):
    store = open_store(database)
    store.add(NewCorrection(authored[200]["text"], authored[200]["label"], "other", "default@0"))
    store.close()
    rows = [{"body": row["text"], "kind": row["label"]} for row in authored[201:260]]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "kind.jsonl").write_text(lines, encoding="utf-8")
    fields = ["--text-field", "body", "--label-field", "kind"]
    done = dry_run(config, database, tmp_path / "kind.jsonl", *fields)
    assert done.returncode == 0, done.stderr
    assert "60 new sentences: " in done.stderr


def test_a_database_without_corrections_is_refused_in_two_lines(database, config):
    refused = dry_run(config, database)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 2
    problem, remedy = refused.stderr.splitlines()
    assert problem.endswith("holds no corrections")
    assert remedy.startswith("Name the service's database: feedback.database in its configuration")


def test_an_address_that_is_none_is_refused_and_its_password_not_shown(config):
    for address in ("postgresql://desk:secret@127.0.0.1:1/rasd", "mysql://desk:secret@host/rasd"):
        refused = dry_run(config, address)
        assert refused.returncode == 2
        assert len(refused.stderr.splitlines()) == 2
        assert "secret" not in refused.stderr


def test_a_database_that_is_not_there_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(InputError, match="holds no corrections"):
        write_feedback(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "labels.jsonl")
    assert not list(tmp_path.iterdir())


def test_the_command_that_reports_and_bundles_keep_has_no_password():
    url = "postgresql://desk:sec%20ret@db/rasd?sslmode=require&sslpassword=hidden"
    shown = "postgresql://desk:***@db/rasd?sslmode=require"
    for form in ("--from-feedback {}", "--from-feedback={}"):
        command = f"rasd retrain {form.format(url)} --quick".split()
        assert " ".join(without_password(command, url)) == (
            f"rasd retrain {form.format(shown)} --quick"
        )


def test_an_output_folder_that_cannot_be_made_is_refused_in_two_lines(config, tmp_path):
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    refused = dry_run(config, f"sqlite:///{tmp_path / 'feedback.db'}")
    assert refused.returncode == 2
    assert "out: this folder cannot be made" in refused.stderr
    assert len(refused.stderr.splitlines()) == 2
