"""`rasd train` as a process: from a hub's cache, killed and resumed, tracked, on a terminal."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from serving.bundle import Bundle
from serving.errors import InputError
from training.config import OptimisationConfig, load_config
from training.train.trainer import check_hardware_and_trackers, settle_precision

ROOT = Path(__file__).parents[3]
RASD = Path(sys.executable).with_name("rasd")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def command(authored, tiny_encoder, tmp_path):
    """Make the command of a training that is over in seconds, with further settings."""
    data = tmp_path / "labelled.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in authored[:200])
    data.write_text("".join(lines), encoding="utf-8")

    def make(*settings: str) -> list[str]:
        every = [
            f"encoder={tiny_encoder}",
            f"data.train=[{data}]",
            "max_length=48",
            "data.dev_fraction=0.3",
            "export.min_agreement=0",
            "optimisation.epochs=1",
            *settings,
        ]
        options = [part for setting in every for part in ("--set", setting)]
        return [
            str(RASD),
            "train",
            "configs/arabert.yaml",
            "--out",
            str(tmp_path / "run"),
            *options,
        ]

    return make


def finish(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run to the end, with success; return what stood on stderr."""
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stderr


def test_a_length_above_the_encoders_positions_is_refused_before_training(
    command, tiny_encoder, tmp_path
):
    run = subprocess.run(
        command("max_length=65"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2, run.stderr
    assert run.stderr.splitlines()[-2:] == [
        f"rasd: max_length: 65 tokens, but {tiny_encoder.name} has positions for 64",
        "Set max_length to 64 or less.",
    ]
    assert not (tmp_path / "run").exists()


# --- The hub -----------------------------------------------------------------------------------


def test_an_encoder_of_the_hubs_cache_is_recorded_with_its_commit(command, tiny_encoder, tmp_path):
    """The cache is laid out as the hub's client leaves it; `v1` is a tag, `main` not there."""
    cached = tmp_path / "home" / "hub" / "models--rasd--tiny"
    shutil.copytree(tiny_encoder, cached / "snapshots" / COMMIT)
    (cached / "refs").mkdir()
    (cached / "refs" / "v1").write_text(COMMIT, encoding="utf-8")
    offline = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    settings = ["encoder=rasd/tiny", "encoder_revision=v1", "model.encoder_dropout=0.2"]
    told = finish(command(*settings), offline)
    assert "\r" not in told  # a bar is for terminals
    assert "it/s" not in told
    bundle = tmp_path / "run" / "bundle"
    provenance = Bundle.load(bundle).manifest.provenance
    assert provenance.encoder_commit == COMMIT
    assert provenance.config["encoder"] == "rasd/tiny"
    assert provenance.config["encoder_revision"] == "v1"
    assert COMMIT in (bundle / "README.md").read_text(encoding="utf-8")
    config = json.loads((tmp_path / "run" / "checkpoint" / "config.json").read_text("utf-8"))
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == 0.2


def test_an_encoder_of_a_folder_has_no_commit(tiny_bundle):
    provenance = Bundle.load(tiny_bundle).manifest.provenance
    assert provenance.encoder_commit is None
    assert " at commit " not in (tiny_bundle / "README.md").read_text(encoding="utf-8")


def test_a_hub_that_cannot_be_reached_is_told_in_two_lines(command, tmp_path):
    nowhere = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    run = subprocess.run(
        command("encoder=rasd/tiny"),
        cwd=ROOT,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    problem, remedy = run.stderr.splitlines()
    assert "rasd/tiny is not in the cache and http://127.0.0.1:9 cannot be reached" in problem
    assert "HF_ENDPOINT" in remedy
    assert not (tmp_path / "run").exists()


# --- After a kill ------------------------------------------------------------------------------


def test_a_run_killed_after_its_training_does_not_train_again(command, tmp_path):
    arguments = command()
    result = tmp_path / "run" / "trainer" / "result.json"
    run = subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        while not result.exists():
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.002)
    finally:
        run.kill()
        run.communicate()
    outcome = json.loads(result.read_text(encoding="utf-8"))

    told = finish(arguments)
    assert "resuming the unfinished run" in told
    assert "epoch 1 of 1: macro-F1" not in told
    provenance = Bundle.load(tmp_path / "run" / "bundle").manifest.provenance
    assert provenance.kept == outcome["kept"]
    assert provenance.config["optimisation"]["precision"] in {"fp32", "bf16"}


def test_a_gate_that_fails_says_how_to_accept_less_without_training_again(command, tmp_path):
    strict = command("export.max_logit_difference=1e-12")
    run = subprocess.run(strict, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "the exported graph's logits differ from torch's by" in run.stderr
    assert not (tmp_path / "run" / "bundle").exists()

    told = finish(command())
    assert "epoch 1 of 1: macro-F1" not in told


# --- What is seen on the way -------------------------------------------------------------------


def test_a_terminal_shows_a_bar(command):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(command(), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # how Linux says that the other side has closed
            pass
        assert process.wait() == 0, shown.decode()
    os.close(ours)
    lines = shown.decode().replace("\r", "\n").split("\n")
    assert any(line.startswith("100%|") for line in lines)
    # On a line of its own, not at the end of the bar; and not as the Trainer's own dictionary.
    assert any(line.startswith("epoch 1 of 1: macro-F1") for line in lines)
    assert not any("{'" in line for line in lines)


def test_tensorboard_gets_its_files_where_they_outlive_the_checkpoints(command, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed (it is in the dev extra)",
    )
    finish(command("optimisation.report_to=[tensorboard]"))
    (events,) = (tmp_path / "run" / "logs").rglob("events.out.tfevents.*")
    read = accumulator.EventAccumulator(str(events)).Reload()
    (entry,) = read.Scalars("eval/macro_f1")
    provenance = Bundle.load(tmp_path / "run" / "bundle").manifest.provenance
    assert entry.value == pytest.approx(provenance.history[0].macro_f1, abs=1e-4)


def test_a_tracker_that_is_not_installed():
    with pytest.raises(InputError, match=r"clearml is not installed\nInstall it \(pip install"):
        check_hardware_and_trackers(OptimisationConfig(learning_rate=1e-4, report_to=["clearml"]))


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_resumed_run_computes_in_the_precision_that_it_began_with(tmp_path, precision):
    """What is faster is timed: the second time could end differently."""
    config = load_config(ROOT / "configs" / "compact.yaml")
    stored = tmp_path / "precision.txt"
    stored.write_text(precision, encoding="utf-8")
    assert settle_precision(config, stored).optimisation.precision == precision
    stored.unlink()
    found = settle_precision(config, stored).optimisation.precision
    assert stored.read_text(encoding="utf-8") == found != "auto"
    set_by_user = load_config(
        ROOT / "configs" / "compact.yaml", [f"optimisation.precision={precision}"]
    )
    assert settle_precision(set_by_user, stored) == set_by_user
