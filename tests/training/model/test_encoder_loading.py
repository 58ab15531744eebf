"""An encoder or a checkpoint with a broken file is refused in two lines that name it."""

import shutil

import pytest

torch = pytest.importorskip("torch")

from serving.errors import InputError  # noqa: E402
from training.model.checkpoint import load_checkpoint  # noqa: E402
from training.model.classifier import (  # noqa: E402
    load_encoder,
    load_encoder_tokenizer,
    longest_input,
)
from training.model.hub import find_source  # noqa: E402


@pytest.fixture
def damaged(tmp_path):
    """Copy a folder and keep only the first half of one of its files."""

    def copy(folder, file):
        target = tmp_path / "damaged"
        shutil.copytree(folder, target)
        whole = (target / file).read_bytes()
        (target / file).write_bytes(whole[: len(whole) // 2])
        return target

    return copy


def test_weights_that_were_cut_off(tiny_encoder, damaged):
    folder = damaged(tiny_encoder, "model.safetensors")
    with pytest.raises(InputError, match=f"encoder: {folder} cannot be loaded: "):
        load_encoder(folder)


@pytest.mark.parametrize("content", [None, "{}", '{"model": 1}'])
def test_a_broken_tokenizer(tiny_encoder, damaged, content):
    folder = damaged(tiny_encoder, "tokenizer.json")
    if content is not None:
        (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"encoder: {folder} cannot be loaded: "):
        load_encoder_tokenizer(find_source(folder))


def test_a_checkpoint_whose_weights_were_cut_off(tiny_run, damaged):
    folder = damaged(tiny_run / "checkpoint", "model.safetensors")
    with pytest.raises(InputError, match=f"{folder}: not a checkpoint: "):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("config", "tokens"),
    [({}, 128), ({"max_position_embeddings": 512}, 128), ({"max_position_embeddings": 80}, 78)],
)
def test_an_encoder_reads_no_more_than_it_has_positions(config, tokens):
    assert longest_input(config, 128) == tokens
