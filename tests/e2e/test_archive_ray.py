"""On a real local Ray cluster an archive run gives the bytes that one machine gives."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'rasd[ray]'")

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


def workers():
    """The processes that are labelling a slice; Ray names them after what they run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::_label_slice" in status.read_bytes():
                found.append(int(status.parent.name))
        except OSError:
            continue
    return found


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def archive(tmp_path):
    lines = AUTHORED.read_text(encoding="utf-8").splitlines()[:1200]
    lines.insert(600, '{"text": 7}')
    (tmp_path / "in.jsonl").write_text("\n".join(lines), "utf-8")
    local = command(tmp_path, "-o", "local.jsonl")
    assert local.communicate(timeout=300) and local.returncode == 0
    return tmp_path


def test_with_a_worker_killed_and_the_driver_killed_the_bytes_are_the_same(archive):
    options = ("-o", "ray.jsonl", "--engine", "ray")
    run = command(archive, *options)
    while not (victims := workers()) and run.poll() is None:  # Ray starts slowly
        time.sleep(0.05)
    assert victims, run.communicate()[1]
    os.kill(victims[0], signal.SIGKILL)
    parts = archive / "ray.jsonl.parts"
    while not list(parts.glob("part-*.json")) and run.poll() is None:
        time.sleep(0.05)
    run.kill()
    run.communicate()
    again = command(archive, *options)
    _, errors = again.communicate(timeout=400)
    assert again.returncode == 0, errors
    for suffix in ("", ".rejected.jsonl"):
        ours, theirs = archive / f"ray.jsonl{suffix}", archive / f"local.jsonl{suffix}"
        assert digest(ours) == digest(theirs)


def test_a_cluster_that_is_not_there_is_two_lines(archive):
    run = command(archive, "-o", "o.jsonl", "--engine", "ray", "--ray-address", "127.0.0.1:1")
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 2
    assert "--ray-address 127.0.0.1:1: cannot be reached" in errors
    assert not (archive / "o.jsonl.parts").exists()
