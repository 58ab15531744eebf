"""`rasd trim`: fewer word pieces, and nothing else changes."""

import json
import lzma
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import (  # noqa: E402
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertModel,
)

from serving.cli import main  # noqa: E402
from serving.text.normalize import NORMALIZERS  # noqa: E402
from tests.training.conftest import LINES  # noqa: E402

ROOT = Path(__file__).parents[3]
RASD = Path(sys.executable).with_name("rasd")
SHIPPED = ROOT / "training" / "encoder"
ARABERT = os.environ.get("RASD_ARABERT", "")

SLOW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def clean(text: str) -> str:
    return NORMALIZERS["light"].apply(text)


@pytest.fixture(scope="module")
def trimmed(encoder, text, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trimmed") / "out"
    assert trim(encoder, text, out) == 0
    return out


def trim(encoder: object, text: object, out: Path, *more: object) -> int:
    return main(list(map(str, ("trim", encoder, "--text", text, "--out", out, *more))))


def outputs(folder: Path, text: str) -> "torch.Tensor":
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return AutoModel.from_pretrained(folder).eval()(ids).last_hidden_state


# --- Nothing changes ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(encoder, trimmed) -> list[tuple]:
    """Tokenizer and model before and after."""
    folders = (encoder, trimmed)
    return [
        (AutoTokenizer.from_pretrained(f), AutoModel.from_pretrained(f).eval()) for f in folders
    ]


@SLOW
@given(rows=st.lists(st.integers(0, LINES - 1), min_size=1, max_size=4))
def test_any_sentences_of_the_text_have_the_same_tokens_and_outputs(both, authored, rows):
    results = []
    for tokenizer, model in both:
        batch = tokenizer(
            [clean(authored[row]["text"]) for row in rows],
            padding=True,
            truncation=True,
            max_length=60,
            return_tensors="pt",
        )
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        results.append(
            ([tokenizer.convert_ids_to_tokens(ids) for ids in batch["input_ids"]], hidden)
        )
    (tokens, before), (same, after) = results
    assert tokens == same
    assert torch.equal(before, after)


# --- What stays and what goes ------------------------------------------------------------------


def test_fewer_pieces_and_as_many_rows_in_every_weight_that_has_a_row_a_piece(encoder, trimmed):
    before, after = (load_file(f / "model.safetensors") for f in (encoder, trimmed))
    pieces = len(AutoTokenizer.from_pretrained(trimmed))
    assert pieces < len(AutoTokenizer.from_pretrained(encoder))
    assert AutoConfig.from_pretrained(trimmed).vocab_size == pieces
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name].shape != after[name].shape}
    assert changed
    for name in changed:
        assert after[name].shape[0] == pieces
    for name in before:
        assert before[name].dtype == after[name].dtype
        assert name in changed or torch.equal(before[name], after[name])


def test_the_masked_language_head_is_cut_with_the_embeddings(
    unigram_encoder, authored, text, tmp_path
):
    # As a checkpoint holds it in which the head is not tied to the embeddings.
    untied = shutil.copytree(unigram_encoder, tmp_path / "untied")
    weights = load_file(untied / "model.safetensors")
    weights["lm_head.decoder.weight"] = torch.randn(
        weights["roberta.embeddings.word_embeddings.weight"].shape
    )
    save_file(weights, untied / "model.safetensors", {"format": "pt"})
    config = json.loads((untied / "config.json").read_text())
    (untied / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    sentence = f"<mask> {clean(authored[0]['text'])}"
    for encoder in (unigram_encoder, untied):
        out = tmp_path / f"{encoder.name}-out"
        assert trim(encoder, text, out) == 0
        tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (encoder, out)]
        old_ids = tokenizers[0].convert_tokens_to_ids(
            tokenizers[1].convert_ids_to_tokens(range(len(tokenizers[1])))
        )
        logits = []
        for folder, tokenizer in zip((encoder, out), tokenizers, strict=True):
            model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
            with torch.inference_mode():
                logits.append(model(**tokenizer(sentence, return_tensors="pt")).logits)
        # To the last bit they need not be: products of another size are added up otherwise.
        assert torch.allclose(logits[0][..., old_ids], logits[1], atol=1e-5)


def test_weights_in_several_files_become_one(tiny_encoder, text, tmp_path):
    encoder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    (encoder / "model.safetensors").unlink()
    BertModel.from_pretrained(tiny_encoder).save_pretrained(encoder, max_shard_size="30KB")
    assert len(list(encoder.glob("*.safetensors"))) > 1
    assert trim(encoder, text, tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.safetensors*"))) == 1


def test_special_tokens_stay_and_every_file_knows_their_new_ids(encoder, trimmed):
    before, after = (AutoTokenizer.from_pretrained(f) for f in (encoder, trimmed))
    assert before.special_tokens_map == after.special_tokens_map
    assert {str(t) for t in before.added_tokens_decoder.values()} == {
        str(t) for t in after.added_tokens_decoder.values()
    }
    old, new = (AutoConfig.from_pretrained(f) for f in (encoder, trimmed))
    for key in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if getattr(old, key) is None:
            assert getattr(new, key) is None
        else:
            tokens = [
                tokenizer.convert_ids_to_tokens(getattr(config, key))
                for tokenizer, config in ((before, old), (after, new))
            ]
            assert tokens[0] == tokens[1]
    assert after.mask_token_id == new.vocab_size - 1 or before.mask_token_id < 10


def test_words_that_the_text_lacks_are_spelt(encoder, trimmed, authored):
    before, after = (AutoTokenizer.from_pretrained(f) for f in (encoder, trimmed))
    shorter = 0
    for row in authored[LINES:]:
        # All but emoji and what colours them, which spell nothing.
        text = "".join(c for c in clean(row["text"]) if unicodedata.category(c)[0] not in "SM")
        tokens = after.tokenize(text)
        assert (after.unk_token in tokens) <= (before.unk_token in before.tokenize(text))
        shorter += len(before.tokenize(text)) < len(tokens)
    assert shorter > 100


def test_the_order_of_the_pieces_stays(encoder, trimmed):
    before, after = (AutoTokenizer.from_pretrained(f) for f in (encoder, trimmed))
    old = before.convert_tokens_to_ids(after.convert_ids_to_tokens(range(len(after))))
    assert old == sorted(old)


def test_training_goes_on_from_the_trimmed_encoder(unigram_encoder, text, tmp_path):
    from training.config import load_config
    from training.train.run import train

    assert trim(unigram_encoder, text, tmp_path / "trimmed") == 0
    config = load_config(
        ROOT / "configs" / "compact.yaml",
        [
            f"encoder={tmp_path / 'trimmed'}",
            f"data.train=[{text}]",
            "max_length=48",
            "export.min_agreement=0",  # nearly untrained: many labels are a toss-up
            "optimisation.epochs=1",
            "data.dev_fraction=0.3",
        ],
    )
    bundle = train(config, tmp_path / "run", command=["rasd", "train"])
    pieces = json.loads((tmp_path / "trimmed" / "config.json").read_text())["vocab_size"]
    assert json.loads((bundle / "config.json").read_text())["vocab_size"] == pieces


# --- From the command line ---------------------------------------------------------------------


def test_a_person_is_told_what_it_saves_and_what_was_checked(unigram_encoder, authored, tmp_path):
    lines = "\n\n".join(row["text"] for row in authored[:60])
    path = tmp_path / "news.txt.xz"
    path.write_bytes(lzma.compress(lines.encode()))
    out = tmp_path / "out"
    run = subprocess.run(
        [RASD, "trim", unigram_encoder, "--text", path, "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == "reading the text\nchecking every line\n"
    report = run.stdout.splitlines()
    assert report[-1] == str(out)
    figures = {line.split("  ")[0]: line.split()[-2:] for line in report[1:4]}
    assert figures.keys() == {"tokens", "parameters", "megabytes"}
    for before, after in figures.values():
        assert float(after.replace(",", "")) < float(before.replace(",", ""))
    assert report[4].startswith("lines read twice: 60, with the same tokens (")
    assert report[5].endswith(", with exactly equal outputs")

    card = (out / "README.md").read_text(encoding="utf-8")
    assert card.startswith('---\nlicense: "mit"\n---\n')
    assert "60 lines" in card
    assert "The licence of `" in card
    assert (out / "LICENSE").read_text() == (unigram_encoder / "LICENSE").read_text()
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {
        (out / "README.md").stat().st_mode & 0o777
    }
    assert not list(tmp_path.glob(".out*"))


def test_the_text_is_cleaned_as_training_will(tiny_encoder, tmp_path):
    text = tmp_path / "text.csv"
    text.write_text("body\nاتصلوا على someone@example.org\n", encoding="utf-8")
    out = tmp_path / "out"
    assert trim(tiny_encoder, text, out, "--text-field", "body", "--normalizer", "arabert") == 0
    assert "`arabert`" in (out / "README.md").read_text(encoding="utf-8")
    cleaned = NORMALIZERS["arabert"].apply("اتصلوا على someone@example.org")
    assert torch.equal(outputs(tiny_encoder, cleaned), outputs(out, cleaned))


def test_a_text_in_another_usual_field_is_found_and_said_once(tiny_encoder, tmp_path, capsys):
    text = tmp_path / "text.csv"
    text.write_text("url,body\nu,نفت الوزارة الخبر\n", encoding="utf-8")
    assert trim(tiny_encoder, text, tmp_path / "out") == 0
    assert capsys.readouterr().err.count("1 document: text from the field 'body'") == 1


def test_an_encoder_in_the_hubs_cache_needs_no_network(
    unigram_encoder, text, tmp_path, monkeypatch
):
    cached = tmp_path / "hub" / "models--some--encoder"
    commit = "c0ffee00" * 5
    shutil.copytree(unigram_encoder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert trim("some/encoder", text, tmp_path / "out") == 0
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'base_model: "some/encoder"' in card


# --- Real encoders -----------------------------------------------------------------------------


def test_the_shipped_encoder(authored, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(row["text"] for row in authored[:10]), encoding="utf-8")
    assert trim(SHIPPED, text, tmp_path / "out") == 0
    assert "exactly equal" in capsys.readouterr().out
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as weights:
        embeddings = weights.get_slice("embeddings.word_embeddings.weight")
        assert 400 < embeddings.get_shape()[0] < 6000
        assert embeddings.get_dtype() == "F16"


@pytest.mark.skipif(not ARABERT, reason="RASD_ARABERT names no folder with AraBERT v02's tokenizer")
def test_araberts_tokenizer_with_random_weights(authored, tmp_path, capsys):
    encoder = tmp_path / "encoder"
    config = AutoConfig.from_pretrained(ARABERT, num_hidden_layers=2)
    BertModel(config, add_pooling_layer=False).save_pretrained(encoder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(Path(ARABERT, name), encoder / name)
    text = ROOT / "data" / "authored.jsonl"
    assert trim(encoder, text, tmp_path / "out", "--normalizer", "arabert") == 0
    assert f"{len(authored):,}, with the same tokens" in capsys.readouterr().out
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert 4000 < len(tokenizer) < 16_000
    assert tokenizer.tokenize("راسلنا على [بريد]")[-1] == "[بريد]"
    assert "[UNK]" not in tokenizer.tokenize("استطلاعاتهم المستنسخة")
