"""An encoder or a checkpoint with a broken file is refused in two lines that name it."""

import copy
import json
import shutil

import pytest

torch = pytest.importorskip("torch")

from transformers import (  # noqa: E402
    AlbertConfig,
    BertConfig,
    ModernBertConfig,
    MPNetConfig,
    NystromformerConfig,
    RobertaConfig,
    T5Config,
    XLMRobertaConfig,
    XLNetConfig,
)

from serving.errors import InputError  # noqa: E402
from training.model.checkpoint import load_checkpoint  # noqa: E402
from training.model.classifier import (  # noqa: E402
    empty_encoder,
    freeze_layers,
    load_encoder,
    load_encoder_tokenizer,
    longest_input,
)
from training.model.hub import find_source  # noqa: E402
from training.train.teachers import keep_layers  # noqa: E402


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


def test_a_tokenizer_without_a_padding_token(tiny_encoder, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder, folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) | {"pad_token": None}
    path.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(InputError, match=f"the tokenizer of {folder} has no padding token\n"):
        load_encoder_tokenizer(find_source(folder))


def test_an_encoder_decoder_model(tmp_path):
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"is an encoder-decoder model \(t5\)\n"):
        load_encoder(tmp_path)


SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 50,
}


@pytest.mark.parametrize(
    ("kind", "settings", "tokens"),
    [
        (BertConfig, {"max_position_embeddings": 80}, 80),
        (BertConfig, {"max_position_embeddings": 512}, 128),
        (XLMRobertaConfig, {"max_position_embeddings": 80}, 78),
        (RobertaConfig, {"max_position_embeddings": 80, "pad_token_id": 0}, 79),
        (MPNetConfig, {"max_position_embeddings": 80}, 78),
    ],
)
def test_an_encoder_reads_just_as_many_tokens_as_it_has_positions(kind, settings, tokens):
    encoder = empty_encoder(kind(**SMALL, **settings)).eval()
    assert longest_input(encoder, 128) == tokens
    with torch.inference_mode():
        encoder(torch.full((1, tokens), 7))
        if tokens < 128:
            with pytest.raises((IndexError, RuntimeError)):
                encoder(torch.full((1, tokens + 1), 7))


def test_positions_that_are_relative_or_in_a_larger_table():
    unlimited = XLNetConfig(d_model=32, n_layer=1, n_head=2, d_inner=32, vocab_size=50)
    assert longest_input(empty_encoder(unlimited), 128) == 128
    larger = NystromformerConfig(**SMALL, max_position_embeddings=80)
    assert longest_input(empty_encoder(larger), 128) == 80


def test_layers_that_share_their_weights_cannot_be_frozen():
    shared = empty_encoder(AlbertConfig(**SMALL | {"num_hidden_layers": 2}, embedding_size=16))
    with pytest.raises(InputError, match="AlbertModel does not keep its layers in one list"):
        freeze_layers(shared, 1)


def test_layers_of_modernbert_keep_their_kind_of_attention():
    """Its configuration lists a kind for every layer; its lowest layer lacks a normalisation."""
    config = ModernBertConfig(
        **SMALL | {"num_hidden_layers": 4, "pad_token_id": 0},
        layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
    )
    kept = empty_encoder(copy.deepcopy(config))
    keep_layers(kept, [0, 2])
    assert kept.config.layer_types == ["full_attention", "sliding_attention"]
    again = empty_encoder(kept.config)
    again.load_state_dict(kept.state_dict())
    with pytest.raises(InputError, match="layer 1 of ModernBertModel cannot be the lowest\n"):
        keep_layers(empty_encoder(config), [1, 3])
