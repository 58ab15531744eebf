"""`rasd trim --grow`: tokens learned from the user's text, so that a sentence has fewer."""

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer  # noqa: E402

from serving.cli import main  # noqa: E402
from serving.text.normalize import NORMALIZERS  # noqa: E402

TOKENS = 4000
TABLE = "roberta.embeddings.word_embeddings.weight"


def grow(encoder: object, text: object, out: Path, tokens: object = TOKENS) -> int:
    arguments = ("trim", encoder, "--text", text, "--out", out, "--grow", tokens)
    return main(list(map(str, arguments)))


@pytest.fixture(scope="module")
def sentences(authored) -> list[str]:
    return [NORMALIZERS["light"].apply(row["text"]) for row in authored]


@pytest.fixture(scope="module")
def grown(unigram_encoder, authored, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grown")
    text = folder / "all.jsonl"
    lines = [json.dumps({"text": row["text"]}, ensure_ascii=False) + "\n" for row in authored]
    text.write_text("".join(lines), encoding="utf-8")
    assert grow(unigram_encoder, text, folder / "out") == 0
    return folder / "out"


def test_a_sentence_has_fewer_tokens_and_the_report_says_by_how_much(
    unigram_encoder, grown, sentences
):
    before, after = (
        sum(len(ids) for ids in AutoTokenizer.from_pretrained(folder)(sentences)["input_ids"])
        for folder in (unigram_encoder, grown)
    )
    assert after < 0.9 * before
    card = (grown / "README.md").read_text(encoding="utf-8")
    assert f"({after / before - 1:+.0%})" in card
    assert "license: " in card


def test_a_new_token_is_the_mean_of_the_old_ones_that_spell_it(unigram_encoder, grown):
    old, new = (AutoTokenizer.from_pretrained(folder) for folder in (unigram_encoder, grown))
    before, after = (
        load_file(folder / "model.safetensors")[TABLE] for folder in (unigram_encoder, grown)
    )
    known = set(old.get_vocab())
    tokens = new.get_vocab()
    shared, learned = known & set(tokens), set(tokens) - known
    assert len(shared) > 300
    assert len(learned) > 1000
    for token in shared:
        assert torch.equal(after[tokens[token]], before[old.convert_tokens_to_ids(token)])
    model = old.backend_tokenizer.model
    for token in sorted(learned)[::50]:
        spelling = [part.id for part in model.tokenize(token)]
        mean = before[spelling].float().mean(0)
        assert torch.allclose(after[tokens[token]].float(), mean, atol=1e-3), token


def test_special_tokens_keep_their_meaning(unigram_encoder, grown):
    old, new = (AutoTokenizer.from_pretrained(folder) for folder in (unigram_encoder, grown))
    for name in ("pad", "mask", "unk", "cls", "sep"):
        assert getattr(old, f"{name}_token") == getattr(new, f"{name}_token")
    config = AutoConfig.from_pretrained(grown)
    assert config.pad_token_id == new.pad_token_id
    assert config.vocab_size == len(new)
    framed = new.convert_ids_to_tokens(new("نفت الحركة")["input_ids"])
    assert (framed[0], framed[-1]) == (new.cls_token, new.sep_token)
    # A word that the text does not have is spelled, not unknown, as before.
    for tokenizer in (old, new):
        assert tokenizer.unk_token_id not in tokenizer("ظضغثسيب ٢٠٣١")["input_ids"]
    logits = AutoModelForMaskedLM.from_pretrained(grown, dtype=torch.float32)(
        **new("<mask> الحركة", return_tensors="pt")
    ).logits
    assert logits.shape[-1] == len(new)


def test_a_wordpiece_encoder_gets_two_lines_and_nothing_is_written(
    tiny_encoder, text, tmp_path, capsys
):
    assert grow(tiny_encoder, text, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "WordPiece" in error
    assert "Only a Unigram tokenizer" in error
    assert not (tmp_path / "out").exists()


def test_too_few_tokens_for_the_characters_of_the_text(unigram_encoder, text, tmp_path, capsys):
    assert grow(unigram_encoder, text, tmp_path / "out", 3) == 2
    assert "--grow 3" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_text_without_a_word(unigram_encoder, tmp_path, capsys):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n", encoding="utf-8")
    assert grow(unigram_encoder, empty, tmp_path / "out") == 2
    assert "no vocabulary can be learned from this text\n" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_broken_record_is_named(unigram_encoder, tmp_path, capsys):
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "نفت الوزارة"}\n{"text": \n', encoding="utf-8")
    assert grow(unigram_encoder, broken, tmp_path / "out") == 2
    assert f"rasd: {broken}: line 2: not JSON" in capsys.readouterr().err


def test_an_ordinary_token_that_config_json_names_is_kept(unigram_encoder, text, tmp_path, capsys):
    encoder = tmp_path / "encoder"
    shutil.copytree(unigram_encoder, encoder)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    number = max(
        range(len(tokenizer) - 1), key=lambda one: len(tokenizer.convert_ids_to_tokens(one))
    )
    config = json.loads((encoder / "config.json").read_text("utf-8")) | {"sep_token_id": number}
    (encoder / "config.json").write_text(json.dumps(config), "utf-8")
    assert grow(encoder, text, tmp_path / "out", 800) == 0
    grown = AutoTokenizer.from_pretrained(tmp_path / "out")
    found = AutoConfig.from_pretrained(tmp_path / "out").sep_token_id
    assert grown.convert_ids_to_tokens(found) == tokenizer.convert_ids_to_tokens(number)

    config["sep_token_id"] = 99_999
    (encoder / "config.json").write_text(json.dumps(config), "utf-8")
    assert grow(encoder, text, tmp_path / "more", 800) == 2
    assert "sep_token_id is 99999, not a token's id" in capsys.readouterr().err
