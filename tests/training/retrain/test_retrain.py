"""`rasd retrain` with real processes: killed, continued, promoted. tests/e2e/test_loop.py: kept."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from small_retraining import DENIALS, REMEMBERED, write_config

from serving.bundle import Bundle, shipped_model
from serving.classifier import Classifier
from serving.registry.lock import locked
from serving.registry.pointer import current_name
from serving.registry.retraining import last_retraining
from serving.registry.store import Registry
from serving.trial import try_bundle


@pytest.fixture(scope="module")
def config(authored, tmp_path_factory):
    """The configuration with little of everything; its output folder is beside the file."""
    folder = tmp_path_factory.mktemp("retrain")
    lines = [json.dumps({"text": row["text"]}, ensure_ascii=False) for row in authored[300:1500]]
    (folder / "archive.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return write_config(folder, authored[:300], archive=["archive.jsonl"])


@pytest.fixture
def registry(tmp_path):
    """A registry whose current version is the included `fast`."""
    folder = tmp_path / "registry"
    versions = Registry(folder, check=try_bundle)
    name = versions.add(shipped_model("fast"))
    versions.promote(name)
    return folder


def command(config: Path, registry: Path, *labelled: Path) -> list[str]:
    return [
        str(Path(sys.executable).with_name("rasd")),
        "retrain",
        *map(str, labelled),
        "--quick",
        f"--config={config}",
        f"--registry={registry}",
    ]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def report(stdout: str) -> dict:
    page = Path(stdout.splitlines()[-1])
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    return json.loads(page.with_name("report.json").read_text(encoding="utf-8"))


@pytest.mark.timeout(1800)
def test_a_killed_retraining_continues_and_promotes_a_model_that_learned_the_corrections(
    config, registry, authored
):
    """kill -9 twice: nothing is half-promoted, and the same command finishes the work."""
    champion = current_name(registry)
    arguments = command(config, registry, DENIALS)
    out = config.parent / "out"
    for sign in ("*/challenger/trainer/checkpoint-*", "*/report"):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(out.glob(sign)):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert current_name(registry) == champion
        versions = Registry(registry, check=try_bundle)
        assert not [problem for problem in versions.verify() if not problem.warning]

    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    found = report(done.stdout)
    new = current_name(registry)
    assert new != champion
    assert new == found["challenger"].replace("@", "-")
    gain = next(c for c in found["checks"] if c["name"] == "accuracy on new labels")
    assert gain["challenger"] > gain["champion"]
    probabilities = [item["probability"] for item in found["changed"]]
    assert probabilities == sorted(probabilities, reverse=True)
    provenance = Bundle.load(registry / "versions" / new).manifest.provenance
    assert provenance.started_from == found["champion"]
    assert provenance.distill.teachers == (found["champion"],)
    assert provenance.distill.unlabelled.sentences == REMEMBERED
    assert provenance.calibration_of == found["champion"]
    learned = provenance.config["data"]
    assert (learned["corrections"], learned["correction_weight"]) == (["new.jsonl"], 5)
    assert provenance.kept == "average"
    unseen = [row["text"] for row in authored[1500:2000]]
    before, after = (
        np.mean([answer.probability for answer in Classifier.load(folder).classify(unseen)])
        for folder in (registry / "versions" / champion, registry / "versions" / new)
    )
    assert after == pytest.approx(before, abs=0.03)  # as confident as the champion
    entry = Registry(registry, check=try_bundle).entries()[-1]
    assert (entry.action, entry.version) == ("promote", new)
    assert "passes the gate" in entry.reason
    last = last_retraining(registry)
    assert (last.champion, last.challenger, last.passed) == (
        found["champion"],
        found["challenger"],
        True,
    )
    assert [check.model_dump() for check in last.checks] == found["checks"]

    again = run(*arguments)
    assert again.returncode == 3, again.stdout + again.stderr
    assert "it was trained on just these sentences" in again.stdout
    assert current_name(registry) == new


def test_a_dry_run_counts_and_trains_nothing(config, registry):
    before = set((config.parent / "out").glob("*"))
    done = run(*command(config, registry, DENIALS), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "240 new sentences: 180 to learn from, 60 in the test" in done.stderr
    assert set((config.parent / "out").glob("*")) == before


def test_an_archive_that_is_not_there_is_refused_before_anything_is_done(
    registry, authored, tmp_path
):
    config = write_config(tmp_path, authored[:300], archive=["nope.jsonl"])
    done = run(*command(config, registry, DENIALS), "--dry-run")
    assert done.returncode == 2
    assert "nope.jsonl" in done.stderr
    assert not list((tmp_path / "out").glob("*/champion"))


def test_two_retrainings_do_not_share_a_folder(config, registry):
    with locked(config.parent / "out"):
        busy = run(*command(config, registry, DENIALS), "--dry-run")
    assert busy.returncode == 1
    assert "another `rasd retrain` is at work here" in busy.stderr


def test_a_cascade_is_refused_before_anything_is_done(config, tmp_path):
    versions = Registry(tmp_path / "registry", check=lambda _: None)
    versions.promote(versions.add(shipped_model("cascade")))
    refused = run(*command(config, tmp_path / "registry", DENIALS), "--dry-run")
    assert refused.returncode == 2
    assert "a cascade cannot be retrained" in refused.stderr


def test_no_labels_at_all_are_refused_in_two_lines(config):
    refused = run(str(Path(sys.executable).with_name("rasd")), "retrain", f"--config={config}")
    assert refused.returncode == 2
    assert refused.stderr == (
        "rasd: there are no new labels\nName labelled files, or a database with --from-feedback.\n"
    )
