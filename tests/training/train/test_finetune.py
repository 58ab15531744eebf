"""What the keys of `optimisation` and `model` do to a training, with a tiny encoder."""

import dataclasses
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sklearn.metrics import f1_score  # noqa: E402

from serving.errors import InputError  # noqa: E402
from serving.labels import LabelScheme  # noqa: E402
from serving.onnx_model import TokenIds, load_tokenizer, tokenize  # noqa: E402
from serving.text.normalize import NORMALIZERS  # noqa: E402
from training.config import DistillConfig, load_config  # noqa: E402
from training.labelled.reading import read_labelled  # noqa: E402
from training.labelled.splits import read_sides  # noqa: E402
from training.model.classifier import SentenceClassifier, load_encoder  # noqa: E402
from training.train.batches import Collator, to_examples  # noqa: E402
from training.train.finetune import Examples, fine_tune  # noqa: E402
from training.train.optimisation import parameter_groups  # noqa: E402
from training.train.trainer import training_arguments  # noqa: E402

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


# --- Seed, dropout and rates -----------------------------------------------------------------


def test_another_seed_is_another_order_and_dropout_of_the_same_sentences(
    fresh, rows, sentences, tmp_path
):
    trained = {}
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        config = config_with(f"seed={seed}")
        examples = Examples(rows(sentences[:64], config), rows(sentences[64:], config), 0)
        trained[name] = fresh(config)
        fine_tune(trained[name], examples, config, tmp_path / name, progress=False)
    assert furthest(trained["one"], trained["again"]) == 0
    assert furthest(trained["one"], trained["two"]) > 1e-4
    sides = [read_sides(config_with(f"seed={seed}"), SCHEME, NORMALIZE).dev for seed in (1, 2)]
    assert sides[0] == sides[1]


def test_head_and_encoder_have_their_own_rates_and_only_matrices_decay(fresh):
    config = config_with("head_learning_rate_factor=7", "weight_decay=0.3")
    model = fresh(config)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = set()
    for group in parameter_groups(model, config.optimisation):
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.add(name)
            head = name.startswith("head.")
            assert group["lr"] == pytest.approx(1e-3 * (7 if head else 1))
            assert group["weight_decay"] == (0.3 if parameter.dim() > 1 else 0)
    assert seen == set(names.values())


def test_the_learning_rate_rises_over_the_share_of_the_warmup(tmp_path):
    config = config_with("warmup_ratio=0.5")
    arguments = training_arguments(config, tmp_path, progress=False)
    assert arguments.get_warmup_steps(12) == 6


@pytest.mark.parametrize(("precision", "bf16"), [("fp32", False), ("bf16", True)])
def test_the_precision_is_what_the_configuration_says(tmp_path, precision, bf16):
    config = config_with(f"precision={precision}")
    arguments = training_arguments(config, tmp_path, progress=False)
    assert (arguments.bf16, arguments.fp16) == (bf16, False)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_dropout_before_the_head_is_what_the_configuration_says(
    fresh, rows, sentences, dropout
):
    config = config_with(model=(f"dropout={dropout}", "encoder_dropout=0"))
    model = fresh(config).train()
    batch = Collator(0)(list(rows(sentences[:8], config)))
    with torch.no_grad():
        one, two = (model(batch["input_ids"], batch["attention_mask"]) for _ in range(2))
    assert bool((one == two).all()) == (dropout == 0)


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
    scores = [epoch.macro_f1 for epoch in result.history]
    best = scores.index(max(scores))
    assert result.kept == f"epoch {best + 1}"
    assert len(scores) == best + 1 + 2 < 12
    assert scores[-1] < scores[best] <= before
    assert macro_f1(model, right) == scores[best]


@pytest.mark.parametrize("preferred", [False, True])
def test_the_mean_of_the_last_steps_is_kept_against_a_better_epoch_only_if_preferred(
    fresh, rows, sentences, tmp_path, preferred
):
    config = config_with("epochs=4", "learning_rate=3e-3", "average_last=0.5", "batch_size=8")
    right = rows(sentences[:48], config)
    model = fresh(config)
    taught(model, right)
    wrong = right.map(lambda row: {"label": (row["label"] + 1) % 5})
    result = fine_tune(
        model,
        Examples(wrong, right, 0),
        config,
        tmp_path,
        progress=False,
        prefer_average=preferred,
    )
    *epochs, average = result.history
    assert average.macro_f1 < max(epoch.macro_f1 for epoch in epochs)
    assert (result.kept == "average") == preferred
    kept = average if preferred else max(epochs, key=lambda epoch: epoch.macro_f1)
    assert macro_f1(model, right) == pytest.approx(kept.macro_f1, abs=1e-4)


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
        fine_tune(model, examples, config, tmp_path / switch, progress=False)
        trained[switch] = model
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
        trained[size, steps] = fresh(config)
        folder = tmp_path / f"{size}-{steps}"
        fine_tune(trained[size, steps], examples, config, folder, progress=False)
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


def test_a_second_label_gets_its_share_of_the_target(rows, sentences):
    """In float32, so the shares are compared nearly."""
    config = load_config(ROOT / "configs" / "arabert.yaml", ["data.second_share=0.25"])
    label = sentences[0].label
    other = next(name for name in SCHEME.names if name != label)
    doubtful = dataclasses.replace(sentences[0], sure=False, second=other)
    first, second = rows([doubtful, sentences[1]], config)
    expected = dict.fromkeys(SCHEME.names, 0.0) | {label: 0.75, other: 0.25}
    assert dict(zip(SCHEME.names, first["teacher"], strict=True)) == pytest.approx(expected)
    assert max(second["teacher"]) == 1
    assert first["teacher_share"] == second["teacher_share"] == 1


@pytest.mark.parametrize("second_share", [0.0, 0.25])
def test_the_labels_of_corrections_count_alone_and_more(sentences, second_share):
    file = Path("corrections.jsonl")
    corrected = dataclasses.replace(sentences[0], file=file, second=None)
    other = dataclasses.replace(sentences[1], second=None)
    data = {"corrections": (file,), "correction_weight": 3.0, "second_share": second_share}
    config = config_with()
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update=data),
            "distill": DistillConfig(share=0.75),
        }
    )
    teacher = np.full((3, len(SCHEME.names)), 0.2, np.float32)
    tokens = [TokenIds([1, 2], truncated=False, length=2)] * 3
    first, second, unlabelled = to_examples(
        [corrected, other], tokens, config, SCHEME.names, teacher
    )
    assert target(first) == pytest.approx(one_hot(first["label"]))
    assert target(second) == pytest.approx(0.25 * one_hot(second["label"]) + 0.75 * 0.2)
    assert target(unlabelled) == pytest.approx(teacher[2])
    same = dataclasses.replace(other, label=corrected.label)
    weights = [
        row["weight"] for row in to_examples([corrected, same], tokens[:2], config, SCHEME.names)
    ]
    assert weights[0] == pytest.approx(3 * weights[1])


def target(row):
    """What a row teaches, whether the teachers' share is in its target or in its loss."""
    share = row["teacher_share"]
    return share * np.array(row["teacher"]) + (1 - share) * one_hot(row["label"])


def one_hot(label):
    return np.array([float(number == label) for number in range(len(SCHEME.names))])


def test_corrections_that_are_not_trained_on_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"other\.jsonl is not in data\.train"):
        load_config(ROOT / "configs" / "compact.yaml", ["data.corrections=[other.jsonl]"])
