"""The command on many formats: resumed to the same bytes, bad files set aside, checked before."""

import gzip
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import dataset, parquet

sys.path.append(str(Path(__file__).parents[1] / "serving" / "files"))
from bad_inputs import CASES, GOOD

KILLS = int(os.environ.get("RASD_KILLS", "4"))
AUTHORED = Path(__file__).parents[2] / "data" / "authored.jsonl"
# The command, with parts small enough for a test.
SCRIPT = """
import atexit, os, sys
from pathlib import Path
from serving.archive import plan, reading
if "PEAK" in os.environ:
    status = Path("/proc/self/status")
    atexit.register(lambda: Path(os.environ["PEAK"]).write_text(status.read_text()))
plan.SLICE_BYTES, reading.PART_SENTENCES, reading.CHUNK = 20_000, 60, 32
from serving.cli import main
sys.exit(main(sys.argv[1:]))
"""


def command(*arguments, **options):
    words = [sys.executable, "-c", SCRIPT, "classify", *map(str, arguments), "--model", "fast"]
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def peak_bytes(status):
    """Return the most memory of a command that was given PEAK, a file.

    Not ru_maxrss: it begins with what the process had that started the command, these tests.
    """
    return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])


def finish(*arguments, **options):
    process = command(*arguments, **options)
    output, errors = process.communicate(timeout=300)
    return process.returncode, output, errors


@pytest.fixture(scope="module")
def records():
    lines = AUTHORED.read_text("utf-8").splitlines()[:420]
    found = [json.loads(line) for line in lines]
    return [
        {"id": f"n{n}", "body": r["text"], "outlet": f"وكالة {n % 2}", "date": n}
        for n, r in enumerate(found)
    ]


@pytest.fixture
def archive(tmp_path, records):
    """The records in five formats, two of them in containers."""
    folder = tmp_path / "in"
    folder.mkdir()
    parts = [records[n::6] for n in range(6)]
    lines = [
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in part).encode() for part in parts
    ]
    table = pa.Table.from_pylist(parts[0])
    parquet.write_table(table, folder / "a.parquet", row_group_size=8, compression="none")
    (folder / "b.jsonl.zst").write_bytes(zstandard.compress(lines[1]))
    with zipfile.ZipFile(folder / "c.zip", "w") as packed:
        packed.writestr("x/1.jsonl", lines[2])
        packed.writestr("x/2.jsonl.gz", gzip.compress(lines[3]))
    with tarfile.open(folder / "d.tar.gz", "w:gz") as packed:
        info = tarfile.TarInfo("y.jsonl")
        info.size = len(lines[4])
        packed.addfile(info, io.BytesIO(lines[4]))
    (folder / "e.json").write_text(json.dumps([*parts[5], {"body": None}]), "utf-8")
    return folder


def test_killed_runs_of_every_format_end_in_the_same_bytes(archive, records):
    options = ("--carry", "outlet,date")
    for name in ("a.parquet", "a.jsonl.gz"):
        code, _, errors = finish("in", "-o", name, *options, cwd=archive.parent)
        assert code == 0, errors
        assert "420 documents: text from the field 'body'" in errors
        assert "set aside 1 of 421" in errors
    random.seed(3)
    for name, again in (("a.parquet", "b.parquet"), ("a.jsonl.gz", "b.jsonl.gz")):
        for _ in range(KILLS):
            process = command("in", "-o", again, *options, cwd=archive.parent)
            time.sleep(random.uniform(0.5, 3))
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        code, _, errors = finish("in", "-o", again, *options, cwd=archive.parent)
        assert code == 0, errors
        digests = {
            hashlib.sha256((archive.parent / path).read_bytes()).hexdigest()
            for path in (name, again)
        }
        assert len(digests) == 1
    rows = parquet.read_table(archive.parent / "a.parquet").to_pylist()
    assert {row["doc_id"] for row in rows} == {record["id"] for record in records}
    outlets = {record["id"]: record["outlet"] for record in records}
    assert all(row["outlet"] == outlets[row["doc_id"]] for row in rows)


def test_partitions_hold_the_same_records_as_one_file(archive):
    options = ("--carry", "outlet", "--partition-by", "outlet", "--format", "parquet")
    code, _, errors = finish("in", "-o", "parts/", *options, cwd=archive.parent)
    assert code == 0, errors
    folder = archive.parent / "parts"
    files = sorted(str(path) for path in folder.rglob("part-*.parquet"))
    assert {Path(path).parent.name for path in files} == {"outlet=وكالة 0", "outlet=وكالة 1"}
    hive = dataset.partitioning(flavor="hive")
    table = dataset.dataset(files, partitioning=hive, partition_base_dir=str(folder)).to_table()
    code, _, _ = finish("in", "-o", "one.parquet", "--carry", "outlet", cwd=archive.parent)
    one = parquet.read_table(archive.parent / "one.parquet")

    def keys(found):
        columns = ("doc_id", "sentence", "text", "label", "outlet")
        return sorted(tuple(row[name] for name in columns) for row in found.to_pylist())

    assert keys(table) == keys(one)


@pytest.fixture(scope="module")
def bad_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad") / "in"
    folder.mkdir()
    for case in CASES:
        (folder / case.name).write_bytes(case.content)
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "good.txt").write_text(GOOD, "utf-8")
    return folder


def test_sixty_bad_files_end_no_run_and_fill_no_memory(bad_folder, tmp_path_factory):
    around = bad_folder.parent
    before = {path for path in around.rglob("*") if path != around}
    peak = tmp_path_factory.mktemp("peak") / "status"
    code, _, errors = finish(
        *("in", "-o", "out.jsonl", "--max-rejected", "1000"),
        cwd=around,
        env=os.environ | {"PEAK": str(peak)},
    )
    assert code == 0, errors
    records = [json.loads(line) for line in (around / "out.jsonl").read_text("utf-8").splitlines()]
    assert [record["text"] for record in records] == [GOOD] * (1 + sum(c.good for c in CASES))
    rejected = (around / "out.jsonl.rejected.jsonl").read_text("utf-8")
    places = [json.loads(line)["where"] for line in rejected.splitlines()]
    for name in [*(case.name for case in CASES), "loop.txt"]:
        assert any(f"/{name}" in place for place in places), name
    after = {path for path in around.rglob("*") if path != around}
    assert {path.name for path in after - before} == {"out.jsonl", "out.jsonl.rejected.jsonl"}
    assert peak_bytes(peak) < 2**30


def test_a_line_of_100_mb_and_a_million_empty_lines_are_read_in_little_memory(tmp_path):
    def endless(path, before, after):
        with path.open("wb") as file:
            file.write(before)
            for _ in range(100):
                file.write("ا".encode() * 2**19)
            file.write(after)

    (tmp_path / "in").mkdir()
    line = json.dumps({"text": GOOD}, ensure_ascii=False).encode() + b"\n"
    beginning = b'{"text": "'
    endless(tmp_path / "in" / "a.jsonl", line + beginning, b'"}\n' + b"\n" * 10**6 + line)
    endless(tmp_path / "in" / "b.csv", f"text\n{GOOD}\n".encode(), f"\n{GOOD}\n".encode())
    endless(tmp_path / "in" / "c.txt", b"", b"")
    (tmp_path / "in" / "d.txt").write_bytes(b"\n" * 10**6 + GOOD.encode() + b"\r\n" * 10**6)
    peak = tmp_path / "status"
    environment = os.environ | {"PEAK": str(peak)}
    code, _, errors = finish("in", "-o", "out.jsonl", cwd=tmp_path, env=environment)
    assert code == 0, errors
    assert peak_bytes(peak) < 600_000_000
    records = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(record)["text"] for record in records] == [GOOD] * 5
    rejected = (tmp_path / "out.jsonl.rejected.jsonl").read_text("utf-8").splitlines()
    places = [
        (Path(entry["where"].split(":")[0]).name, entry["line"])
        for entry in map(json.loads, rejected)
    ]
    assert places == [("a.jsonl", 2), ("b.csv", 3), ("c.txt", None)]


def test_check_reports_every_problem_in_one_pass_and_writes_nothing(bad_folder):
    before = sorted(bad_folder.parent.rglob("*"))
    code, output, errors = finish("in", "--check", cwd=bad_folder.parent)
    assert (code, errors) == (2, "")
    for case in CASES:
        assert f"/{case.name}" in output
        assert case.said in output
    good = 1 + sum(case.good for case in CASES)
    assert f"\n{good} documents, {good} sentences, " in output
    assert sorted(bad_folder.parent.rglob("*")) == before


def test_check_of_good_input_says_what_would_be_labelled(archive):
    (archive / "e.json").unlink()
    code, output, errors = finish("in", "--check", cwd=archive.parent)
    assert (code, errors) == (0, "")
    assert "350 documents, " in output
    assert "0 problems" in output
    assert "parquet: 1 file, 70 documents" in output
    assert "zip: 1 file, 140 documents" in output
    assert "date (350)" in output
    assert "text from the field 'body': 350" in output
