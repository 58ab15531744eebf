"""What the keys of `optimisation` and `model` do to a training, with a tiny encoder."""

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402

from serving.labels import LabelScheme  # noqa: E402
from serving.onnx_model import load_tokenizer, tokenize  # noqa: E402
from serving.text.normalize import NORMALIZERS  # noqa: E402
from training.config import load_config  # noqa: E402
from training.labelled.reading import read_labelled  # noqa: E402
from training.model.classifier import SentenceClassifier, load_encoder  # noqa: E402
from training.train.batches import Collator, to_examples  # noqa: E402
from training.train.finetune import Examples, fine_tune  # noqa: E402

ROOT = Path(__file__).parents[3]
SCHEME = LabelScheme.read(ROOT / "configs" / "labels.yaml")
NORMALIZE = NORMALIZERS["arabert"].apply


def config_with(*optimisation: str, model: tuple[str, ...] = ()):
    """The shipped configuration, quick and in single precision, with these keys set."""
    settings = ["epochs=1", "precision=fp32", "average_last=0", "learning_rate=1e-3", *optimisation]
    return load_config(
        ROOT / "configs" / "arabert.yaml",
        ["max_length=48", *(f"optimisation.{s}" for s in settings), *(f"model.{s}" for s in model)],
    )


@pytest.fixture(scope="module")
def sentences():
    read = read_labelled([ROOT / "data" / "authored.jsonl"], SCHEME, NORMALIZE).sentences
    return random.Random(1).sample(read, 96)


@pytest.fixture(scope="module")
def rows(tiny_encoder):
    """Make rows for the Trainer of sentences."""
    tokenizer = load_tokenizer(tiny_encoder / "tokenizer.json", max_length=48)

    def make(sentences, config):
        tokens = tokenize(tokenizer, [NORMALIZE(sentence.text) for sentence in sentences])
        return to_examples(sentences, tokens, config, SCHEME.names)

    return make


@pytest.fixture
def fresh(tiny_encoder):
    """Make the same untrained model as often as it is asked for."""

    def make(config):
        torch.manual_seed(3)
        return SentenceClassifier(
            load_encoder(tiny_encoder, dropout=config.model.encoder_dropout),
            labels=len(SCHEME.names),
            pooling="mean",
            dropout=config.model.dropout,
        )

    return make


def macro_f1(model, dataset) -> float:
    """The model's macro-F1 on rows, by this test's own count."""
    batch = Collator(0)(list(dataset))
    with torch.inference_mode():
        logits = model.eval()(batch["input_ids"], batch["attention_mask"])
    return round(float(f1_score(dataset["label"], logits.argmax(1), average="macro")), 4)


def taught(model, dataset) -> None:
    """Teach the model the labels of rows by heart."""
    batch = Collator(0)(list(dataset))
    optimiser = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        logits = model(batch["input_ids"], batch["attention_mask"])
        torch.nn.functional.cross_entropy(logits, batch["labels"]).backward()
        optimiser.step()


def furthest(one, other) -> float:
    """The largest difference between two models' weights."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


# --- Several seeds -----------------------------------------------------------------------------


def test_seeds_end_as_their_greedy_soup_and_finished_ones_are_not_trained_again(
    fresh, rows, sentences, tmp_path
):
    # At this rate the seeds label alike, so that the mean is no worse than the best of them.
    config = config_with("seeds=[1,2]", "learning_rate=1e-6")
    examples = Examples(rows(sentences[:64], config), rows(sentences[64:], config), 0)
    result = fine_tune(fresh(config), examples, config, tmp_path, progress=False)
    kept = [tmp_path / f"seed-{seed}" / "kept.safetensors" for seed in (1, 2)]
    one, two = map(load_file, kept)
    assert any((one[name] != two[name]).any() for name in one)
    assert result.kept == "mean of seeds 1, 2"
    for name, value in result.model.state_dict().items():
        assert torch.allclose(value, (one[name] + two[name]) / 2, atol=1e-7)
    scores = result.seeds["macro_f1"]
    assert list(scores) == ["1", "2"]
    assert result.seeds["mean"] == pytest.approx(sum(scores.values()) / 2, abs=1e-4)
    apart = abs(scores["1"] - scores["2"]) / 2**0.5
    assert result.seeds["standard_deviation"] == pytest.approx(apart, abs=1e-4)
    assert result.seeds["kept"]["macro_f1"] == macro_f1(result.model, examples.dev)
    assert [entry["seed"] for entry in result.history] == [1, 2]

    # A finished seed stays as it is, and one that spoils the mean is left out of it.
    worse = {name: -20 * value for name, value in two.items()}
    save_file(worse, kept[1])
    outcome = json.loads((kept[1].parent / "result.json").read_text(encoding="utf-8"))
    (kept[1].parent / "result.json").write_text(json.dumps(outcome | {"macro_f1": 0.0}), "utf-8")
    again = fine_tune(fresh(config), examples, config, tmp_path, progress=False)
    assert again.kept == "seed 1, epoch 1"
    assert all((again.model.state_dict()[name] == value).all() for name, value in one.items())
    assert (load_file(kept[1])["head.weight"] == worse["head.weight"]).all()


# --- Early stopping ----------------------------------------------------------------------------


def test_a_training_that_only_gets_worse_stops_early_and_keeps_its_best_epoch(
    fresh, rows, sentences, tmp_path
):
    """A model that knows the held-out labels is taught wrong ones."""
    config = config_with("epochs=12", "learning_rate=3e-3", "early_stopping=2")
    right = rows(sentences[:48], config)
    model = fresh(config)
    taught(model, right)
    before = macro_f1(model, right)
    assert before > 0.8

    wrong = right.map(lambda row: {"label": (row["label"] + 1) % 5})
    result = fine_tune(model, Examples(wrong, right, 0), config, tmp_path, progress=False)
    scores = [entry["macro_f1"] for entry in result.history]
    best = scores.index(max(scores))
    assert result.kept == f"epoch {best + 1}"
    assert len(scores) == best + 1 + 2 < 12
    assert scores[-1] < scores[best] <= before
    assert macro_f1(result.model, right) == scores[best]


# --- Memory ------------------------------------------------------------------------------------


def test_gradient_checkpointing_computes_twice_and_learns_the_same(
    fresh, rows, sentences, tmp_path
):
    trained, calls = {}, {"true": 0, "false": 0}
    for switch in ("false", "true"):
        config = config_with(f"gradient_checkpointing={switch}")
        examples = Examples(rows(sentences[:64], config), rows(sentences[64:], config), 0)
        model = fresh(config)

        def count(*_, switch=switch):
            calls[switch] += torch.is_grad_enabled()

        # Inside a layer: the layer's own hooks stand outside of what is computed again.
        model.encoder.encoder.layer[0].intermediate.register_forward_pre_hook(count)
        trained[switch] = fine_tune(
            model, examples, config, tmp_path / switch, progress=False
        ).model
    assert calls["true"] == 2 * calls["false"] > 0
    assert furthest(trained["true"], trained["false"]) < 1e-6
    assert furthest(trained["true"], fresh(config)) > 1e-4


def test_four_batches_of_8_with_accumulation_learn_what_one_of_32_does(
    fresh, rows, sentences, tmp_path
):
    """With 32 sentences an epoch is one step of all of them, in whatever order they stand."""
    trained = {}
    for size, steps in ((32, 1), (8, 4), (8, 1)):
        config = config_with(
            *("epochs=3", "warmup_ratio=0", "learning_rate=1e-3"),
            *(f"batch_size={size}", f"gradient_accumulation={steps}"),
            model=("dropout=0", "encoder_dropout=0"),
        )
        examples = Examples(rows(sentences[:32], config), rows(sentences[32:], config), 0)
        trained[size, steps] = fine_tune(
            fresh(config), examples, config, tmp_path / f"{size}-{steps}", progress=False
        ).model
    assert furthest(trained[8, 4], trained[32, 1]) < 2e-5
    assert furthest(trained[8, 1], trained[32, 1]) > 1e-3


# --- Dropout -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_encoders_dropout_is_what_the_configuration_says(fresh, rows, sentences, dropout):
    config = config_with(model=("dropout=0", f"encoder_dropout={dropout}"))
    model = fresh(config).train()
    batch = Collator(0)(list(rows(sentences[:8], config)))
    with torch.no_grad():
        passes = [model(batch["input_ids"], batch["attention_mask"]) for _ in range(3)]
    assert all(bool((a == b).all()) == (dropout == 0) for a, b in pairwise(passes))
    settings = model.encoder.config
    assert settings.hidden_dropout_prob == settings.attention_probs_dropout_prob == dropout
