"""`rasd adapt`: an encoder learns the wording of unlabelled text, and survives a kill."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import AutoTokenizer, ElectraConfig, ElectraModel  # noqa: E402

from serving.cli import main  # noqa: E402
from training.adapt import run as adapt_run  # noqa: E402
from training.adapt.model import MaskedLanguageModel, Masking  # noqa: E402
from training.model.classifier import load_encoder  # noqa: E402

PADDING, START, END, MASK, SIZE = 1, 0, 2, 4, 500


@pytest.fixture(scope="module")
def archive(authored, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "archive.jsonl"
    lines = [json.dumps({"text": row["text"]}, ensure_ascii=False) + "\n" for row in authored]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def adapt(encoder: object, archive: object, out: Path, *more: object) -> int:
    return main(list(map(str, ("adapt", encoder, "--text", archive, "--out", out, *more))))


def guessed(report: str) -> float:
    return float(report.partition(": ")[2].partition("%")[0])


def test_the_encoder_guesses_better_and_can_be_fine_tuned(
    unigram_encoder, archive, tmp_path, capsys
):
    shares = []
    for rate in (1e-9, 3e-3):
        out = tmp_path / str(rate)
        more = ("--batch-size", 64, "--epochs", 2, "--learning-rate", rate)
        assert adapt(unigram_encoder, archive, out, *more) == 0
        assert [path.name for path in out.iterdir()] == ["encoder"]
        shares.append(guessed(capsys.readouterr().out))
    assert shares[1] > shares[0] + 3
    encoder = out / "encoder"
    assert AutoTokenizer.from_pretrained(encoder).mask_token == "<mask>"
    assert load_encoder(encoder).config.vocab_size
    before, after = (
        load_file(folder / "model.safetensors") for folder in (unigram_encoder, encoder)
    )
    name = "embeddings.word_embeddings.weight"
    assert after[name].dtype == before[f"roberta.{name}"].dtype
    assert not torch.equal(after[name], before[f"roberta.{name}"])


RUN = """
import sys
import training.adapt.run as run
run._SAVE_STEPS = 5
from serving.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_run_goes_on(unigram_encoder, archive, tmp_path):
    out = tmp_path / "out"
    options = ("--batch-size", 64, "--epochs", 3)
    arguments = ["adapt", unigram_encoder, "--text", archive, "--out", out, *options]
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        while not any(out.glob("trainer/checkpoint-*/complete")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not (out / "encoder").exists()
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "resuming the unfinished run" in ended.stderr
    assert "guessed right" in ended.stdout
    assert [path.name for path in out.iterdir()] == ["encoder"]


@pytest.fixture
def card(unigram_encoder, archive, tmp_path, monkeypatch):
    """Adapt a copy of an encoder with another card, without training; return the new card."""

    def make(readme: str, *more: object) -> str:
        encoder = tmp_path / "small"
        shutil.copytree(unigram_encoder, encoder)
        (encoder / "README.md").write_text(readme, encoding="utf-8")
        monkeypatch.setattr(adapt_run, "_train", lambda *_: None)
        assert adapt(encoder, archive, tmp_path / "out", *more) == 0
        return (tmp_path / "out" / "encoder" / "README.md").read_text(encoding="utf-8")

    return make


def test_the_card_keeps_licence_and_base_and_says_what_was_done(card, capsys):
    front = "---\nlicense: mit\nbase_model: some/encoder\ntags: [news]\n---\n"
    made = card(f"{front}# An encoder\n", "--epochs", 3)
    head = '---\nlicense: "mit"\nbase_model: "some/encoder"\n---\n# small, adapted\n'
    assert made.startswith(head)
    printed = capsys.readouterr()
    texts = re.search(r"[\d,]+ texts of [\d,]+ tokens", printed.err)
    assert texts is not None
    assert f"it read {texts[0]} 3 times" in made
    assert "`light`" in made
    assert printed.out.splitlines()[0] in made
    assert "The licence of `small` (mit) still applies." in made


def test_an_encoder_whose_card_says_nothing_gets_one(card):
    made = card("")
    assert made.startswith("# small, adapted\n")
    assert " tokens once, after" in made


def test_too_little_text(unigram_encoder, text, tmp_path, capsys):
    assert adapt(unigram_encoder, text, tmp_path / "out") == 2
    assert "rasd adapt needs more than" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@settings(deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(5, SIZE - 1), max_size=40), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
)
def test_only_ordinary_tokens_are_hidden(rows, seed):
    torch.manual_seed(seed)
    framed = [np.array([START, *row, END]) for row in rows]
    masking = Masking(padding=PADDING, mask=MASK, special=[0, 1, 2, 3, 4], size=SIZE)
    batch = masking(framed)
    for number, row in enumerate(framed):
        ids, labels = batch["input_ids"][number].numpy(), batch["labels"][number].numpy()
        assert batch["attention_mask"][number].sum() == len(row)
        assert (ids[len(row) :] == PADDING).all()
        chosen = labels != -100
        assert (labels[chosen] == row[chosen[: len(row)]]).all()
        # What is not to be guessed is as it was: the ends and the padding among it.
        assert (ids[: len(row)][~chosen[: len(row)]] == row[~chosen[: len(row)]]).all()
        assert not chosen[0]
        assert not chosen[len(row) - 1 :].any()


def test_about_15_percent_are_guessed_and_most_of_them_are_hidden():
    torch.manual_seed(1)
    masking = Masking(padding=PADDING, mask=MASK, special=[0, 1, 2, 3, 4], size=SIZE)
    batch = masking([np.arange(100) % 400 + 10 for _ in range(400)])
    chosen = batch["labels"] != -100
    assert 0.13 < chosen.float().mean() < 0.17
    hidden = (batch["input_ids"] == MASK)[chosen].float().mean()
    assert 0.77 < hidden < 0.83
    same = (batch["input_ids"] == batch["labels"])[chosen].float().mean()
    assert 0.08 < same < 0.13


@pytest.fixture
def interrupted(monkeypatch):
    """Training that writes a checkpoint and is then cut off."""

    def train(model, train, masking, plan, work):
        (work / "checkpoint-5").mkdir(parents=True, exist_ok=True)
        (work / "checkpoint-5" / "complete").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(adapt_run, "_train", train)


@pytest.mark.usefixtures("interrupted")
def test_an_unfinished_run_with_another_encoder_of_the_same_name_is_not_resumed(
    unigram_encoder, archive, tmp_path, capsys
):
    out = tmp_path / "out"
    assert adapt(unigram_encoder, archive, out) == 130
    assert adapt(unigram_encoder, archive, out) == 130
    assert "resuming the unfinished run" in capsys.readouterr().err
    other = tmp_path / unigram_encoder.name
    shutil.copytree(unigram_encoder, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, other / "model.safetensors")
    assert adapt(other, archive, out) == 2
    assert "an unfinished run with another encoder\n" in capsys.readouterr().err


@pytest.mark.usefixtures("interrupted")
def test_an_unfinished_run_with_another_text_is_not_resumed(
    unigram_encoder, archive, tmp_path, capsys
):
    out, grown = tmp_path / "out", tmp_path / "archive.jsonl"
    shutil.copyfile(archive, grown)
    assert adapt(unigram_encoder, grown, out) == 130
    with grown.open("a", encoding="utf-8") as stream:
        stream.write('{"text": "نفت الوزارة صحة ما تردد عن سقوط طائرة شرق المدينة صباح اليوم."}\n')
    assert adapt(unigram_encoder, grown, out) == 2
    assert "an unfinished run with another text\n" in capsys.readouterr().err


def test_a_training_that_diverges_leaves_nothing(
    unigram_encoder, archive, tmp_path, monkeypatch, capsys
):
    loss = torch.tensor(float("nan"))
    monkeypatch.setattr(adapt_run.Trainer, "training_step", lambda *_, **__: loss)
    assert adapt(unigram_encoder, archive, tmp_path / "out") == 1
    told = "the training diverged: the loss is nan at step 1\nLower --learning-rate (0.0004).\n"
    assert told in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_too_little_memory(unigram_encoder, archive, tmp_path, monkeypatch, capsys):
    def step(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(adapt_run.Trainer, "training_step", step)
    assert adapt(unigram_encoder, archive, tmp_path / "out") == 1
    assert "out of memory with --batch-size 256\nHalve it.\n" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["nan", "0", "-1e-3", "2", "fast"])
def test_a_learning_rate_that_cannot_be(rate, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        adapt("none", "none", tmp_path / "out", f"--learning-rate={rate}")
    assert "is not a number above 0 and up to 0.1" in capsys.readouterr().err


def test_the_report_alone_is_written_to_stdout(
    unigram_encoder, archive, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert adapt(unigram_encoder, archive, tmp_path / "out") == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in printed] == ["hidden", str(tmp_path / "out/encoder")]


def test_a_batch_with_nothing_to_guess_has_loss_0_and_narrow_embeddings_have_a_head():
    config = ElectraConfig(
        vocab_size=50,
        embedding_size=8,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    model = MaskedLanguageModel(ElectraModel(config))
    ids, mask = torch.full((2, 5), 7), torch.ones((2, 5), dtype=torch.int64)
    nothing = model(ids, mask, torch.full((2, 5), -100))
    assert nothing["loss"] == 0
    nothing["loss"].backward()
    something = model(ids, mask, torch.tensor([[7, -100, -100, -100, -100]] * 2))
    assert something["loss"] > 0
    assert something["guesses"].shape == (2,)
