"""What goes wrong in a training is told in two lines that name the key to change."""

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from serving.errors import InputError, RasdError  # noqa: E402
from training.config import OptimisationConfig, load_config  # noqa: E402
from training.model.hub import find_source  # noqa: E402
from training.train.failures import memory_errors_explained  # noqa: E402
from training.train.trainer import check_hardware_and_trackers  # noqa: E402

ROOT = Path(__file__).parents[3]
RASD = Path(sys.executable).with_name("rasd")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        MemoryError(),
    ],
    ids=["cuda", "windows", "linux", "python"],
)
def test_too_little_memory(error):
    config = load_config(ROOT / "configs" / "compact.yaml")
    told = pytest.raises(RasdError, match=r"batch_size 32 and max_length 128\n.*checkpointing")
    with told, memory_errors_explained(config):
        raise error


def test_a_real_allocation_that_cannot_be_met():
    config = load_config(ROOT / "configs" / "compact.yaml")
    with pytest.raises(RasdError, match="out of memory"), memory_errors_explained(config):
        torch.empty(2**55)


def test_another_error_stays_what_it_is():
    config = load_config(ROOT / "configs" / "compact.yaml")
    with pytest.raises(RuntimeError, match="shapes"), memory_errors_explained(config):
        raise RuntimeError("shapes cannot be multiplied")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_fp16_without_a_gpu():
    with pytest.raises(InputError, match="no GPU\nIt must be auto"):
        check_hardware_and_trackers(OptimisationConfig(learning_rate=1e-4, precision="fp16"))


def test_a_tracker_that_nobody_knows():
    with pytest.raises(InputError, match=r"unknown tracker 'tensorbord'\n.*tensorboard"):
        check_hardware_and_trackers(
            OptimisationConfig(learning_rate=1e-4, report_to=["tensorbord"])
        )


def test_a_hub_that_cannot_be_reached(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"some/encoder is not in the cache and .*\n.*HF_ENDPOINT"):
        find_source("some/encoder")


def test_a_training_that_diverges_stops_and_leaves_nothing(tiny_run, tiny_encoder, tmp_path):
    settings = [
        f"encoder={tiny_encoder}",
        f"data.train=[{tiny_run.parent / 'labelled.jsonl'}]",
        "optimisation.learning_rate=0.1",
        "optimisation.head_learning_rate_factor=1000",
        "optimisation.weight_decay=1",
        "optimisation.warmup_ratio=0",
        "optimisation.batch_size=8",
        "max_length=48",
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    run = subprocess.run(
        [RASD, "train", "configs/arabert.yaml", "--out", tmp_path / "run", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "rasd: the training diverged: the loss is" in run.stderr
    assert "\nLower optimisation.learning_rate (0.1)" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list((tmp_path / "run").iterdir())
