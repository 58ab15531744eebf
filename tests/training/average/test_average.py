"""The mean of several runs' weights."""

import json
import shutil

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from serving.bundle import Bundle  # noqa: E402
from serving.classifier import Classifier  # noqa: E402
from serving.errors import InputError  # noqa: E402
from training.average.run import average  # noqa: E402
from training.export.run import export_folder  # noqa: E402
from training.model.checkpoint import load_checkpoint  # noqa: E402

COMMAND = ["rasd", "average", "one", "two", "--out", "mean"]


@pytest.fixture
def other(tiny_run, tmp_path):
    """A checkpoint of the same kind whose weights are all larger by 0.02."""
    folder = shutil.copytree(tiny_run / "checkpoint", tmp_path / "other")
    weights = load_file(folder / "model.safetensors")
    moved = {
        name: value + 0.02 if value.is_floating_point() else value
        for name, value in weights.items()
    }
    save_file(moved, folder / "model.safetensors")
    return folder


def test_every_weight_is_the_mean_and_the_result_is_a_checkpoint(tiny_run, other, tmp_path):
    one = tiny_run / "checkpoint"
    mean = average([one, other], tmp_path / "mean", command=COMMAND)
    weights, before = load_file(mean / "model.safetensors"), load_file(one / "model.safetensors")
    assert weights.keys() == before.keys()
    for name, value in weights.items():
        if value.is_floating_point():
            assert torch.allclose(value, before[name] + 0.01, atol=1e-6)
    assert load_checkpoint(mean).sample == load_checkpoint(one).sample

    bundle = Bundle.load(export_folder(mean, tmp_path / "bundle"))
    assert len(Classifier.load(bundle.folder).classify(["نفت الجماعة ذلك."])) == 1
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert card.count("rasd train configs/arabert.yaml") == 1  # the command of both
    assert "rasd average one two --out mean" in card
    assert "the mean of 2 training runs" in card


def test_the_mean_of_a_checkpoint_with_itself_is_itself(tiny_run, tmp_path):
    one = tiny_run / "checkpoint"
    mean = average([one, one, one], tmp_path / "mean", command=COMMAND)
    weights = load_file(mean / "model.safetensors")
    for name, value in load_file(one / "model.safetensors").items():
        assert torch.allclose(value.float(), weights[name].float(), atol=1e-6)


def test_a_mean_of_means_tells_of_every_training_once(tiny_run, other, tmp_path):
    one = tiny_run / "checkpoint"
    name = ["rasd", "average", "mean"]
    mean = average([one, other], tmp_path / "mean", command=COMMAND)
    other_mean = average([other, other], tmp_path / "other-mean", command=[*name, "of one"])
    nested = average([mean, other_mean], tmp_path / "nested", command=[*name, "of means"])
    bundle = export_folder(nested, tmp_path / "bundle")
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert "the mean of 2 training runs" in card
    made = card[card.index("## Made by") :]
    assert made.count("rasd train configs/arabert.yaml") == 1  # the command of both
    assert made.count("rasd average") == 3
    assert made.index("of one") < made.index("of means")


def _settings(folder, **values):
    path = folder / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: _settings(folder, max_length=32), "another max_length"),
        (lambda folder: _settings(folder, normalizer="light"), "another normalizer"),
        (lambda folder: (folder / "held_out.jsonl").write_text(""), "other held-out sentences"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "another tokenizer"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(tiny_run, other, tmp_path, change, says):
    change(other)
    with pytest.raises(InputError, match=says):
        average([tiny_run / "checkpoint", other], tmp_path / "mean", command=COMMAND)
    assert not (tmp_path / "mean").exists()


def test_one_checkpoint_is_no_mean(tiny_run, tmp_path):
    with pytest.raises(InputError, match="only one checkpoint"):
        average([tiny_run / "checkpoint"], tmp_path / "mean", command=COMMAND)
