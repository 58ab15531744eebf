"""`rasd retrain` with real processes: promoted, kept, killed and continued."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")

from serving.bundle import Bundle, shipped_model
from serving.registry.lock import locked
from serving.registry.pointer import current_name
from serving.registry.store import Registry
from serving.trial import try_bundle

ROOT = Path(__file__).parents[3]
DENIALS = ROOT / "benchmarks" / "data" / "dialect_denials.jsonl"


@pytest.fixture(scope="module")
def config(authored, tmp_path_factory):
    """The configuration with little of everything; its output folder is the file's own."""
    folder = tmp_path_factory.mktemp("retrain")
    values = yaml.safe_load((ROOT / "configs" / "retrain.yaml").read_text(encoding="utf-8"))
    base = folder / "base.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in authored[:300])
    base.write_text("".join(lines), encoding="utf-8")
    values |= {"base": [str(base)], "behaviour": None, "output": "out"}
    values["quick"]["replay"] = 0.5
    values["quick"]["optimisation"] |= {
        "epochs": 2,
        "learning_rate": 5e-4,
        "batch_size": 16,
        "checkpoint_steps": 5,
    }
    # What is tested is how the command ends, not how well so little training does.
    values["gate"] |= {"max_macro_f1_drop": 0.1, "max_recall_drop": 0.3, "max_ece_rise": 0.2}
    values["gate"]["max_recall_drop_by_label"] = {}
    values["gate"]["max_slowdown"] = 3
    path = folder / "retrain.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


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
    config, registry
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
    entry = Registry(registry, check=try_bundle).entries()[-1]
    assert (entry.action, entry.version) == ("promote", new)
    assert "passes the gate" in entry.reason

    again = run(*arguments)
    assert again.returncode == 3, again.stdout + again.stderr
    assert "it was trained on just these sentences" in again.stdout
    assert current_name(registry) == new


@pytest.mark.timeout(1800)
def test_wrong_labels_are_refused_and_the_champion_stays(config, registry, tmp_path):
    draw = random.Random(4)
    rows = [json.loads(line) for line in DENIALS.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if row["split"] == "train":
            row["label"] = draw.choice(["attack_report", "claim", "official_response", "other"])
    labelled = tmp_path / "wrong.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    labelled.write_text("".join(lines), encoding="utf-8")
    champion = current_name(registry)
    kept = run(*command(config, registry, labelled))
    assert kept.returncode == 3, kept.stdout + kept.stderr
    assert "is kept" in kept.stdout
    assert not report(kept.stdout)["promoted"]
    assert current_name(registry) == champion
    assert len(Registry(registry, check=try_bundle).versions()) == 1


def test_a_dry_run_counts_and_trains_nothing(config, registry):
    before = set((config.parent / "out").glob("*"))
    done = run(*command(config, registry, DENIALS), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "240 new sentences: 180 to learn from, 60 in the test" in done.stderr
    assert set((config.parent / "out").glob("*")) == before


def test_two_retrainings_do_not_share_a_folder(config, registry):
    with locked(config.parent / "out"):
        busy = run(*command(config, registry, DENIALS), "--dry-run")
    assert busy.returncode == 1
    assert "another `rasd retrain` is at work here" in busy.stderr


def test_no_labels_at_all_are_refused_in_two_lines(config):
    refused = run(str(Path(sys.executable).with_name("rasd")), "retrain", f"--config={config}")
    assert refused.returncode == 2
    assert refused.stderr == (
        "rasd: there are no new labels\nName labelled files, or a database with --from-feedback.\n"
    )
