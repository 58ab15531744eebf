"""On a real local Ray cluster an archive run gives the bytes that one machine gives."""

import contextlib
import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'rasd[ray]'")

KILLS = int(os.environ.get("RASD_KILLS", "1"))
AUTHORED = Path(__file__).parents[2] / "data" / "authored.jsonl"
# Slices small enough for a test, and slow enough for a worker to be killed over one.
SCRIPT = """
import sys
from serving.archive import plan
plan.SLICE_BYTES = 30_000
from serving.cli import main
sys.exit(main(sys.argv[1:]))
"""


def command(folder, *arguments):
    words = [sys.executable, "-c", SCRIPT, "classify", "in.jsonl", "--model", "fast", *arguments]
    return subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)


def descendants(process):
    """The processes that a process has started, and those that these have."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            found += [child, *descendants(child)]
    return found


def workers(run):
    """The processes of a run that label a slice; Ray names them after what they do."""
    found = []
    with contextlib.suppress(OSError):  # one of them has ended
        for process in descendants(run.pid):
            if Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::_label_slice"):
                found.append(int(process))
    return found


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A folder with an archive, and what one machine makes of it."""
    folder = tmp_path_factory.mktemp("archive")
    rows = map(json.loads, AUTHORED.read_text(encoding="utf-8").splitlines()[:1200])
    topics = itertools.cycle([0, 1, 2, None])
    lines = [
        json.dumps({"text": row["text"], "topic": topic}, ensure_ascii=False)
        for row, topic in zip(rows, topics, strict=False)
    ]
    lines.insert(600, '{"text": 7}')
    (folder / "in.jsonl").write_text("\n".join(lines), "utf-8")
    local = command(folder, "-o", "local.jsonl")
    _, errors = local.communicate(timeout=300)
    assert local.returncode == 0, errors
    return folder


def started_on_ray(folder, name, *options):
    """Start a run on Ray and wait until a worker labels a slice; return both, or None without one.

    On a machine that is too busy Ray itself gives up after 30 seconds, so there are three tries.
    """
    for _ in range(3):
        run = command(folder, "-o", name, "--engine", "ray", *options)
        while run.poll() is None:
            if found := workers(run):
                return run, found[0]
            time.sleep(0.02)
        if run.returncode == 0:
            return run, None
        errors = run.communicate()[1]
        assert "Ray did not start" in errors, errors
    pytest.skip("Ray does not start on this machine")


def assert_the_bytes_of_one_machine(folder, name):
    for suffix in ("", ".rejected.jsonl"):
        assert digest(folder / f"{name}{suffix}") == digest(folder / f"local.jsonl{suffix}")


def test_a_killed_worker_costs_no_record(archive):
    run, worker = started_on_ray(archive, "worker.jsonl")
    assert worker, "the run has ended before a worker was seen"
    os.kill(worker, signal.SIGKILL)
    _, errors = run.communicate(timeout=500)
    assert run.returncode == 0, errors
    assert_the_bytes_of_one_machine(archive, "worker.jsonl")


def kill_after_a_part(run, parts):
    """SIGKILL a run some time after its first part is finished, if it has not ended by then."""
    while not list(parts.glob("part-*.json")) and run.poll() is None:
        time.sleep(0.02)
    time.sleep(random.uniform(0, 1))
    run.kill()
    run.communicate()


def test_a_killed_driver_is_continued_by_the_same_command(archive):
    random.seed(5)
    for _ in range(KILLS):
        run, _ = started_on_ray(archive, "driver.jsonl")
        kill_after_a_part(run, archive / "driver.jsonl.parts")
    again, _ = started_on_ray(archive, "driver.jsonl")
    _, errors = again.communicate(timeout=500)
    assert again.returncode == 0, errors
    assert_the_bytes_of_one_machine(archive, "driver.jsonl")


def tree(folder):
    """The files of records and of what was set aside, and their digests."""
    files = [*folder.rglob("part-*.parquet"), *folder.rglob("part-*.rejected.jsonl")]
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def test_parquet_in_partitions_has_the_files_of_one_machine_also_after_a_kill(archive):
    options = ("--format", "parquet", "--carry", "topic", "--partition-by", "topic")
    local = command(archive, "-o", "local/", *options)
    _, errors = local.communicate(timeout=300)
    assert local.returncode == 0, errors
    run, _ = started_on_ray(archive, "ray/", *options)
    kill_after_a_part(run, archive / "ray")
    run, _ = started_on_ray(archive, "ray/", *options)
    _, errors = run.communicate(timeout=500)
    assert run.returncode == 0, errors
    files = tree(archive / "ray")
    assert files == tree(archive / "local")
    folders = {name.partition("/")[0] for name in files if name.endswith(".parquet")}
    assert folders == {"topic=0", "topic=1", "topic=2", "topic=__HIVE_DEFAULT_PARTITION__"}


def test_a_cluster_that_is_not_there_is_two_lines(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "نفت الوزارة ذلك."}\n', "utf-8")
    run = command(tmp_path, "-o", "o.jsonl", "--engine", "ray", "--ray-address", "127.0.0.1:1")
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 2
    assert "--ray-address 127.0.0.1:1: cannot be reached" in errors
    assert not (tmp_path / "o.jsonl.parts").exists()
