"""A killed training resumes where it was: real processes, kill -9, the same bytes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from safetensors.torch import load_file, save_file

from serving.errors import InputError
from training.config import load_config
from training.train.batches import LengthSampler
from training.train.resume import discard, newest_checkpoint, reserve
from training.train.run import train

ROOT = Path(__file__).parents[3]
RASD = Path(sys.executable).with_name("rasd")


def command(tiny_run: Path, tiny_encoder: Path, out: Path) -> list[str]:
    """The command of the `tiny_run` fixture, with a checkpoint after every step."""
    settings = [
        f"encoder={tiny_encoder}",
        f"data.train=[{tiny_run.parent / 'labelled.jsonl'}]",
        "max_length=48",
        "export.min_agreement=0.9",
        "optimisation.epochs=2",
        "optimisation.average_last=0.5",
        "data.dev_fraction=0.3",
        "optimisation.checkpoint_steps=1",
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    return [str(RASD), "train", "configs/arabert.yaml", "--out", str(out), *options]


def kill_after_a_new_checkpoint(arguments: list[str], folder: Path) -> int:
    """Run until there is a checkpoint later than those before; kill -9; return its step."""
    before = newest_checkpoint(folder)
    run = subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        while newest_checkpoint(folder) == before:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.002)
    finally:
        run.kill()
        run.communicate()
    newest = newest_checkpoint(folder)
    return int(newest.name.rpartition("-")[2])


def test_a_run_killed_twice_ends_with_the_same_bytes(tiny_run, tiny_encoder, tmp_path):
    out = tmp_path / "run"
    arguments = command(tiny_run, tiny_encoder, out)
    trainer = out / "trainer"
    first = kill_after_a_new_checkpoint(arguments, trainer)
    second = kill_after_a_new_checkpoint(arguments, trainer)
    assert first < second
    assert not (out / "bundle").exists()

    # What a kill in the middle of writing leaves must not be taken for a checkpoint.
    (trainer / "checkpoint-999").mkdir()
    (trainer / "checkpoint-999" / "model.safetensors").write_bytes(b"half")
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    resumed = re.search(r"resuming after step (\d+)", run.stderr)
    assert resumed is not None
    assert int(resumed[1]) >= second
    for name in ("model.onnx", "tokenizer.json"):
        assert (out / "bundle" / name).read_bytes() == (tiny_run / "bundle" / name).read_bytes()
    ours, theirs = (
        json.loads((folder / "bundle" / "bundle.json").read_text(encoding="utf-8"))
        for folder in (out, tiny_run)
    )
    assert ours["provenance"]["history"] == theirs["provenance"]["history"]
    assert ours["metrics"] == theirs["metrics"]
    assert not (out / "trainer").exists()


def test_another_run_does_not_go_on_from_what_is_there(tmp_path):
    folder = tmp_path / "trainer"
    assert not reserve(folder, {"max_length": 48, "data": {"train": "a"}})
    # Nothing is lost while there is no checkpoint.
    assert not reserve(folder, {"max_length": 64, "data": {"train": "a"}})
    (folder / "checkpoint-5").mkdir(parents=True)
    (folder / "checkpoint-5" / "complete").touch()
    with pytest.raises(InputError, match="unfinished run with another max_length, data\n"):
        reserve(folder, {"max_length": 48, "data": {"train": "b"}})
    assert reserve(folder, {"max_length": 64, "data": {"train": "a"}})
    assert newest_checkpoint(folder).name == "checkpoint-5"


@pytest.mark.parametrize("changed", ["labels", "rows", "encoder"])
def test_a_run_does_not_resume_with_labels_rows_or_an_encoder_that_have_changed(
    tiny_encoder, tiny_run, tmp_path, monkeypatch, changed
):
    """The same files by name, and the same sentences and labels: their order is another one."""
    labels, rows, encoder = (tmp_path / name for name in ("labels.yaml", "rows.jsonl", "encoder"))
    shutil.copy(ROOT / "configs" / "labels.yaml", labels)
    shutil.copy(tiny_run.parent / "labelled.jsonl", rows)
    shutil.copytree(tiny_encoder, encoder)
    settings = (f"labels={labels}", f"data.train=[{rows}]", f"encoder={encoder}", "max_length=48")
    config = load_config(ROOT / "configs" / "arabert.yaml", settings)

    def killed(model, examples, config, folder, **_):
        (folder / "checkpoint-5").mkdir()
        (folder / "checkpoint-5" / "complete").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("training.train.run.fine_tune", killed)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "out", command=["rasd", "train"])
    if changed == "labels":
        head, *names = labels.read_text(encoding="utf-8").split("  - name:")
        labels.write_text("  - name:".join([head, *names[::-1]]), encoding="utf-8")
    elif changed == "rows":
        lines = rows.read_text(encoding="utf-8").splitlines(keepends=True)
        rows.write_text("".join(lines[::-1]), encoding="utf-8")
    else:
        weights = load_file(encoder / "model.safetensors")
        weights["embeddings.word_embeddings.weight"] += 1
        save_file(weights, encoder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f"unfinished run with another {changed}\n"):
        train(config, tmp_path / "out", command=["rasd", "train"])


@pytest.mark.parametrize("name", ["thesis.docx", "checkpoint-5/complete", "old/result.json"])
def test_what_no_run_has_left_is_not_removed(tmp_path, name):
    file = tmp_path / "trainer" / name
    file.parent.mkdir(parents=True)
    file.write_text("years of work")
    with pytest.raises(InputError, match="trainer: something else is there already\n"):
        reserve(tmp_path / "trainer", {"max_length": 48})
    assert file.read_text() == "years of work"


@pytest.mark.parametrize("removed", range(4))
def test_a_folder_whose_removal_was_killed_can_be_reserved_again(tmp_path, monkeypatch, removed):
    folder = tmp_path / "trainer"
    assert not reserve(folder, {"max_length": 48})
    (folder / "checkpoint-5").mkdir()
    for name in ("checkpoint-5/state", "soft_labels.npy", ".run.json.cut-off"):
        (folder / name).write_text("x", encoding="utf-8")
    unlink, done = os.unlink, []

    def until_killed(path, *arguments, **options):
        if len(done) == removed:
            raise KeyboardInterrupt
        done.append(path)
        unlink(path, *arguments, **options)

    monkeypatch.setattr(os, "unlink", until_killed)
    with pytest.raises(KeyboardInterrupt):
        discard(folder)
    monkeypatch.undo()
    reserve(folder, {"max_length": 48})  # it is still the run's own


def test_an_empty_folder_can_be_reserved(tmp_path):
    (tmp_path / "trainer").mkdir()
    assert not reserve(tmp_path / "trainer", {"max_length": 48})


def test_an_epochs_order_hangs_on_nothing_but_seed_and_epoch():
    lengths = [3, 9, 4, 7] * 50
    sampler = LengthSampler(lengths, batch_size=4, seed=5)
    orders = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert list(sampler) == orders[-1]
    assert orders[0] != orders[1] != orders[2]
    fresh = LengthSampler(lengths, batch_size=4, seed=5)
    fresh.set_epoch(2)
    assert list(fresh) == orders[2]
    assert list(LengthSampler(lengths, batch_size=4, seed=6)) != orders[0]
