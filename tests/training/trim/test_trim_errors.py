"""`rasd trim` on what it cannot trim: two lines that say why, and nothing is left behind."""

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer, models  # noqa: E402

from serving.cli import main  # noqa: E402
from training.trim.vocabulary import Vocabulary  # noqa: E402


def trim(encoder: object, text: object, out: Path, *more: object) -> int:
    return main(list(map(str, ("trim", encoder, "--text", text, "--out", out, *more))))


def refused(capsys, *arguments: object) -> str:
    """What a person is told when nothing can be trimmed."""
    assert trim(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    error = said.err.removeprefix("reading the text\n")
    assert error.count("\n") == 2
    return error


def test_an_encoder_that_is_nowhere(text, tmp_path, capsys):
    assert "none" in refused(capsys, tmp_path / "none", text, tmp_path / "out")
    assert not (tmp_path / "out").exists()


BROKEN = {
    "no tokenizer": ("holds no tokenizer.json", lambda f: (f / "tokenizer.json").unlink()),
    "no config": ("holds no config.json", lambda f: (f / "config.json").unlink()),
    "no weights": ("holds no model.safetensors", lambda f: (f / "model.safetensors").unlink()),
    "half the weights": (
        "incomplete safetensors files",
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:2000]
        ),
    ),
    "half the tokenizer": (
        "cannot be loaded",
        lambda f: (f / "tokenizer.json").write_text((f / "tokenizer.json").read_text()[:200]),
    ),
    "BPE": (
        "is BPE",
        lambda f: (
            Tokenizer(models.BPE({"a": 0}, [])).save(str(f / "tokenizer.json")),
            (f / "tokenizer_config.json").write_text(
                '{"tokenizer_class": "PreTrainedTokenizerFast"}'
            ),
        ),
    ),
    "another vocabulary": ("belong together", lambda f: configure(f, vocab_size=900)),
    "a token id of no piece": ("eos_token_id is 99999", lambda f: configure(f, eos_token_id=99999)),
}


def configure(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.mark.parametrize("what", BROKEN)
def test_an_encoder_that_is_not_whole(tiny_encoder, text, tmp_path, capsys, what):
    problem, damage = BROKEN[what]
    broken = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    damage(broken)
    error = refused(capsys, broken, text, tmp_path / "out")
    assert problem in error
    assert str(broken) in error
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_text_of_nothing(tiny_encoder, tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_text("\n \n\u200f\n")
    assert f"{path}: no text" in refused(capsys, tiny_encoder, path, tmp_path / "out")
    assert "only once" in refused(capsys, tiny_encoder, "-", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_left_alone_unless_it_is_empty(
    tiny_encoder, text, tmp_path, capsys
):
    out = tmp_path / "out"
    out.mkdir()
    assert trim(tiny_encoder, text, out) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert str(out) in refused(capsys, tiny_encoder, text, out)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert "a file" in refused(capsys, tiny_encoder, text, out / "README.md")


def test_nothing_is_left_when_the_outputs_are_not_the_same(unigram_encoder, text, tmp_path, capsys):
    # XLM-R counts its positions from the padding's id, which here is that of a late piece.
    encoder = shutil.copytree(unigram_encoder, tmp_path / "encoder")
    configure(encoder, pad_token_id=400, max_position_embeddings=800)
    weights = load_file(encoder / "model.safetensors")
    name = "roberta.embeddings.position_embeddings.weight"
    weights[name] = torch.randn(800, weights[name].shape[1]).half()
    save_file(weights, encoder / "model.safetensors", {"format": "pt"})
    few = tmp_path / "few.txt"
    few.write_text("نفت الجماعة.\n", encoding="utf-8")
    assert trim(encoder, few, tmp_path / "out") == 1
    assert "the trimmed encoder's outputs differ by" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["encoder", "few.txt"]


def test_nothing_is_left_when_a_line_is_read_otherwise(
    tiny_encoder, text, tmp_path, capsys, monkeypatch
):
    forgetful = Vocabulary.used_by
    monkeypatch.setattr(
        Vocabulary, "used_by", lambda self, texts: (set(), forgetful(self, texts)[1])
    )
    assert trim(tiny_encoder, text, tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert "the trimmed tokenizer splits this line differently" in error
    assert not list(tmp_path.iterdir())
