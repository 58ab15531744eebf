"""An archive run outlives kills, signals, a full disk and bad records; no part is done twice."""

import gzip
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard
from pyarrow import parquet

from serving.archive.outputs import FORMATS
from serving.classifier import Classifier
from serving.cli import main

AUTHORED = Path(__file__).parents[2] / "data" / "authored.jsonl"
KILLS = int(os.environ.get("RASD_KILLS", "8"))
# The command, with parts small enough for a test.
SCRIPT = """
import sys
from serving.archive import plan, reading
plan.SLICE_BYTES, reading.PART_SENTENCES, reading.CHUNK = 20_000, 40, 16
from serving.cli import main
sys.exit(main(sys.argv[1:]))
"""


def command(*arguments, model="fast", **options):
    words = [sys.executable, "-c", SCRIPT, "classify", *map(str, arguments)]
    words += ["--model", model] if model else []
    return subprocess.Popen(
        words, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )


def finish(*arguments, **options):
    process = command(*arguments, **options)
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def lines():
    return AUTHORED.read_text(encoding="utf-8").splitlines()[:700]


@pytest.fixture
def archive(tmp_path, lines):
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join([*lines[:350], '{"text": null}', *lines[350:], "broken"]), "utf-8")
    return path


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "in.jsonl").write_text(
        "\n".join([*lines[:350], '{"text": null}', *lines[350:], "broken"]), "utf-8"
    )
    code, errors = finish("in.jsonl", "-o", "out.jsonl", cwd=folder)
    assert code == 0, errors
    return digest(folder / "out.jsonl"), digest(folder / "out.jsonl.rejected.jsonl")


def test_killed_at_random_moments_a_run_ends_in_the_same_bytes(archive, unbroken):
    random.seed(7)
    output = archive.with_name("out.jsonl")
    for _ in range(KILLS):
        process = command("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
        time.sleep(random.uniform(0.2, 2.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if output.exists():
            break
    code, errors = finish("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
    assert code == 0, errors
    assert (digest(output), digest(archive.with_name("out.jsonl.rejected.jsonl"))) == unbroken
    assert not list(archive.parent.glob("*.parts"))


def test_a_signal_ends_the_run_after_the_part_in_hand(archive, unbroken):
    process = command("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
    parts = archive.with_name("out.jsonl.parts")
    while not list(parts.glob("part-*.json")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Repeat the command to continue" in errors
    done = len(list(parts.glob("part-*.json")))
    code, errors = finish("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
    assert (code, done > 0, "continuing" in errors) == (0, True, True)
    assert digest(archive.with_name("out.jsonl")) == unbroken[0]


def test_a_full_disk_stops_the_run_and_it_can_be_continued(archive, unbroken):
    def small_files():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))

    code, errors = finish("in.jsonl", "-o", "out.jsonl", cwd=archive.parent, preexec_fn=small_files)
    assert code == 1
    assert "cannot be written" in errors and "continue" in errors
    assert finish("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)[0] == 0
    assert digest(archive.with_name("out.jsonl")) == unbroken[0]


def interrupt(archive, *arguments):
    """Leave an unfinished run behind."""
    process = command("in.jsonl", "-o", "out.jsonl", *arguments, cwd=archive.parent)
    parts = archive.with_name("out.jsonl.parts")
    while not list(parts.glob("part-*.json")) and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.communicate()


def test_an_unfinished_run_of_something_else_is_refused_unless_restarted(archive):
    interrupt(archive)
    code, errors = finish("in.jsonl", "-o", "out.jsonl", "--unit", "sentence", cwd=archive.parent)
    assert code == 2
    assert 'unit was "document", now "sentence"' in errors and "--restart" in errors
    archive.write_text(archive.read_text("utf-8") + "\n", "utf-8")
    code, errors = finish("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
    assert (code, "input" in errors) == (2, True)
    code, errors = finish("in.jsonl", "-o", "out.jsonl", "--restart", cwd=archive.parent)
    assert (code, "continuing" in errors) == (0, False)


def test_without_model_an_archive_has_the_answers_of_the_cascade(tmp_path, lines):
    (tmp_path / "in.jsonl").write_text("\n".join(lines[:60]), "utf-8")
    for words in (["-o", "out.jsonl"], ["-o", "parts/"]):
        code, errors = finish("in.jsonl", *words, model=None, cwd=tmp_path)
        assert code == 0, errors
    records = list(map(json.loads, (tmp_path / "out.jsonl").read_text("utf-8").splitlines()))
    texts = [record["text"] for record in records]
    cascade = Classifier.load("cascade")
    assert {record["model"] for record in records} == {cascade.model}
    answers = [answer.probabilities for answer in cascade.classify(texts)]
    assert [record["probabilities"] for record in records] == answers
    assert answers != [answer.probabilities for answer in Classifier.load("fast").classify(texts)]
    parts = sorted((tmp_path / "parts").glob("part-*-????.jsonl"))
    joined = b"".join(path.read_bytes() for path in parts)
    assert joined == (tmp_path / "out.jsonl").read_bytes()


def test_a_run_of_another_model_is_refused_and_continues_when_that_is_named(archive, unbroken):
    interrupt(archive)
    code, errors = finish("in.jsonl", "-o", "out.jsonl", model=None, cwd=archive.parent)
    assert (code, len(errors.splitlines())) == (2, 2)
    assert 'model was "fast@' in errors and 'now "cascade@' in errors
    assert "Name that --model to continue it" in errors
    code, errors = finish("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
    assert (code, "continuing" in errors) == (0, True)
    assert digest(archive.with_name("out.jsonl")) == unbroken[0]


def test_a_second_run_into_the_same_output_is_refused(archive):
    process = command("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
    parts = archive.with_name("out.jsonl.parts")
    while not list(parts.glob("part-*.json")) and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGSTOP)  # it holds the lock, and waits for us
    code, errors = finish("in.jsonl", "-o", "out.jsonl", cwd=archive.parent)
    os.kill(process.pid, signal.SIGCONT)
    assert (code, "another run" in errors) == (2, True)
    assert process.communicate(timeout=300) and process.returncode == 0


def test_rejected_records_are_kept_with_place_reason_and_value(archive):
    code, errors = finish("in.jsonl", "-o", "out.csv", cwd=archive.parent)
    assert code == 0
    assert "set aside 2 of 702 records" in errors
    lines = archive.with_name("out.csv.rejected.jsonl").read_text("utf-8").splitlines()
    rejected = [json.loads(line) for line in lines]
    assert [entry["line"] for entry in rejected] == [351, 702]
    assert rejected[0]["raw"] == '{"text": null}'
    assert rejected[1]["raw"] == "broken"
    assert "in.jsonl" in rejected[0]["where"]


def test_strict_stops_at_the_first_bad_record_and_leaves_nothing(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "نفت الوزارة."}\n{}\n', "utf-8")
    code, errors = finish("in.jsonl", "-o", "out.jsonl", "--strict", cwd=tmp_path)
    assert (code, "line 2" in errors, len(errors.splitlines())) == (2, True, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_misnamed_field_fails_at_once_and_leaves_nothing(archive):
    code, errors = finish("in.jsonl", "-o", "out.jsonl", "--text-field", "txt", cwd=archive.parent)
    assert (code, len(errors.splitlines())) == (2, 2)
    assert "no field 'txt'" in errors
    assert [path.name for path in archive.parent.iterdir()] == ["in.jsonl"]


def test_more_rejected_records_than_allowed_stop_the_run_and_keep_what_is_done(archive):
    code, errors = finish("in.jsonl", "-o", "out.jsonl", "--max-rejected", "1", cwd=archive.parent)
    assert (code, "--max-rejected 1" in errors) == (2, True)
    code, errors = finish("in.jsonl", "-o", "out.jsonl", "--max-rejected", "2", cwd=archive.parent)
    assert (code, "continuing" in errors) == (0, True)


def test_one_wrongly_encoded_file_of_a_folder_is_one_rejected_file(tmp_path):
    (tmp_path / "news").mkdir()
    for number in range(5):
        text = "نفت الوزارة وقوع الهجوم. وهز انفجار وسط المدينة."
        encoding = "cp1256" if number == 2 else "utf-8"
        (tmp_path / "news" / f"{number}.txt").write_bytes(text.encode(encoding))
    code, errors = finish("news", "-o", "out.jsonl", cwd=tmp_path)
    assert (code, "set aside 1 of 5" in errors) == (0, True)
    assert "CP1256" in (tmp_path / "out.jsonl.rejected.jsonl").read_text("utf-8")
    assert len((tmp_path / "out.jsonl").read_text("utf-8").splitlines()) == 8


def test_a_folder_keeps_its_parts_and_the_same_command_has_nothing_left_to_do(archive):
    code, errors = finish("in.jsonl", "-o", "parts/", cwd=archive.parent)
    assert code == 0, errors
    parts = sorted(archive.with_name("parts").glob("part-*-*.jsonl"))
    parts = [path for path in parts if "rejected" not in path.name]
    before = [(path.name, path.stat().st_mtime_ns) for path in parts]
    assert len(parts) > 5
    code, errors = finish("in.jsonl", "-o", "parts/", cwd=archive.parent)
    assert (code, "continuing" in errors) == (0, True)
    assert [(path.name, path.stat().st_mtime_ns) for path in parts] == before
    code, _ = finish("in.jsonl", "-o", "one.jsonl", cwd=archive.parent)
    assert (
        b"".join(path.read_bytes() for path in parts) == archive.with_name("one.jsonl").read_bytes()
    )


def test_the_cache_changes_no_byte(archive, tmp_path):
    repeated = archive.with_name("twice.jsonl")
    repeated.write_text("\n".join(archive.read_text("utf-8").splitlines()[:60] * 4), "utf-8")
    for name, cache in (("with", "1000"), ("without", "0")):
        code, errors = finish(
            "twice.jsonl", "-o", f"{name}.jsonl", "--cache", cache, cwd=archive.parent
        )
        assert code == 0, errors
    assert digest(archive.with_name("with.jsonl")) == digest(archive.with_name("without.jsonl"))


RECORD = '{"text": "نفت الوزارة ذلك."}\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text(RECORD, encoding="utf-8")
    return tmp_path


def classify(*arguments):
    return main(["classify", *arguments, "--model", "fast"])


@pytest.mark.parametrize("name", FORMATS)
def test_an_input_without_records_gives_a_complete_file(folder, name):
    Path("in.jsonl").write_bytes(b"")
    assert classify("in.jsonl", "-o", f"out.{name}") == 0
    raw = Path(f"out.{name}").read_bytes()
    if name == "parquet":
        assert parquet.read_table(f"out.{name}").num_rows == 0
    elif name == "csv":
        assert raw.decode("utf-8-sig").startswith("doc_id,sentence,")
    else:
        opened = {"jsonl": bytes, "jsonl.gz": gzip.decompress, "jsonl.zst": zstandard.decompress}
        assert opened[name](raw) == b""


@pytest.mark.parametrize("content", [RECORD, "broken\n"])
def test_what_others_keep_beside_the_parts_stays(folder, content):
    Path("in.jsonl").write_text(content, encoding="utf-8")
    Path("out.jsonl.parts").mkdir()
    Path("out.jsonl.parts/notes.txt").write_text("mine", encoding="utf-8")
    assert classify("in.jsonl", "-o", "out.jsonl") == (0 if content == RECORD else 2)
    assert [path.name for path in Path("out.jsonl.parts").iterdir()] == ["notes.txt"]


def test_a_folder_of_another_program_is_refused(folder, capsys):
    Path("out").mkdir()
    Path("out/run.json").write_text("[1]", encoding="utf-8")
    assert classify("in.jsonl", "-o", "out/") == 2
    assert "not written by a run" in capsys.readouterr().err
    assert Path("out/run.json").read_text(encoding="utf-8") == "[1]"


def test_names_that_are_not_utf8_are_labelled_and_continued(folder):
    name = os.fsdecode(b"\xce\xc8\xd1.jsonl")
    Path(name).write_text(f"{RECORD}broken\n", encoding="utf-8")
    for _ in range(2):
        assert classify(name, "-o", "out/", "--max-rejected", "1") == 0
    (part,) = Path("out").glob("part-*-0000.jsonl")
    assert json.loads(part.read_text(encoding="utf-8"))["doc_id"] == f"{name}:1"


def test_a_run_in_the_folder_of_its_input_can_be_continued(folder, capsys):
    Path("bad.jsonl").write_text("broken\n", encoding="utf-8")
    for _ in range(2):
        assert classify(".", "-o", "out/") == 0
        assert Path("out.rejected.jsonl").is_file()
    assert "continuing" in capsys.readouterr().err
    assert len(list(Path("out").glob("part-*-*.jsonl"))) == 2  # records and what was set aside
    assert classify("out", "-o", "out/") == 2
    assert "its own parts" in capsys.readouterr().err


def test_documents_without_a_value_to_partition_by_are_counted(folder, capsys):
    rows = [{"text": "نفت الوزارة ذلك.", **more} for more in ({"outlet": "a"}, {"outlet": ""}, {})]
    Path("in.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = ("-o", "out/", "--carry", "all", "--partition-by")
    assert classify("in.jsonl", *options, "outlet") == 0
    folder_of_none = "outlet=__HIVE_DEFAULT_PARTITION__"
    note = f"2 documents: no value of 'outlet', so in the folder {folder_of_none}\n"
    assert note in capsys.readouterr().err
    assert (folder / "out" / folder_of_none).is_dir()
    assert classify("in.jsonl", *options, "outlet") == 0  # nothing is left to do
    assert note in capsys.readouterr().err
    assert classify("in.jsonl", *options, "outlte", "--restart") == 0
    assert "3 documents: no value of 'outlte'" in capsys.readouterr().err
    Path("in.jsonl").write_text(json.dumps(rows[0]), encoding="utf-8")
    assert classify("in.jsonl", *options, "outlet", "--restart") == 0
    assert "no value of" not in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_an_error_of_two_lines(folder, capsys):
    assert classify("in.jsonl", "-o", "ص" * 123 + ".jsonl") == 1
    assert "cannot be written: File name too long" in capsys.readouterr().err
