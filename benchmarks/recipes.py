"""Compare training recipes at small scale: several seeds each, few sentences, few layers.

    python benchmarks/recipes.py --train data/authored.jsonl FILE --dev FILE --out recipes.jsonl

A full training run takes an hour, so each recipe is tried at small scale. Every recipe differs from
the plain one in one point. Results are in --out, one run per line, and are not measured again.
Without names, all recipes are tried. With --leave-out SOURCE, no recipe learns from these sources,
and the column `elsewhere` is its macro-F1 on their sentences.
"""

import argparse
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from torch import Tensor
from torch.nn import functional
from transformers import set_seed
from transformers.utils import logging

from serving.classifier import softmax
from serving.labels import LabelScheme
from serving.onnx_model import load_tokenizer, tokenize
from serving.text.normalize import NORMALIZERS
from training.config import TrainConfig, encoder_to_load, load_config
from training.evaluate.calibration import fit_calibration
from training.labelled.sentence import LabelledSentence
from training.labelled.splits import read_sides
from training.model.classifier import SentenceClassifier, load_encoder
from training.train.batches import Collator, to_examples
from training.train.optimisation import WeightAverage
from training.train.teachers import keep_layers
from training.train.trainer import SentenceTrainer, training_arguments

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "compact.yaml"
# Of every recipe: so few steps need a high learning rate.
COMMON = ("distill.layers=[0, 4, 8]", "optimisation.epochs=3", "optimisation.learning_rate=3e-4")
# Use one in this many sentences, drawn by their text.
PART = 6
# The id of <mask> in the included encoder's vocabulary; the other special tokens come before it.
MASK = 4
COLUMNS = ("macro_f1", "accuracy", "nll", "average_macro_f1", "average_nll")
ELSEWHERE = ("elsewhere", "average_elsewhere")

Loss = Tensor | tuple[Tensor, dict[str, Tensor]]
Figures = dict[str, float]


class RDrop(SentenceTrainer):
    """R-Drop: two passes per batch, their divergence in the loss (Liang et al. 2021)."""

    alpha = 1.0

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], *options: Any, **more: Any
    ) -> Loss:
        """Return the mean of two passes' losses and `alpha` times their divergence."""
        if not model.training:
            return super().compute_loss(model, inputs, *options, **more)
        losses, answers = [], []
        for _ in range(2):
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
            losses.append(loss)
            answers.append(outputs["logits"].log_softmax(-1))
        one, other = answers
        apart = sum(
            functional.kl_div(p, q, log_target=True, reduction="none").sum(-1)
            for p, q in ((one, other), (other, one))
        )
        return sum(losses) / 2 + self.alpha * (apart / 2 * inputs["weights"]).mean()


class Adversarial(SentenceTrainer):
    """Adversarial training: embeddings moved up the gradient (Miyato, Dai, Goodfellow 2017)."""

    distance = 0.5

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], *options: Any
    ) -> Tensor:
        """Accumulate the mean gradient of the plain and the adversarial embeddings."""
        vectors = model.encoder.get_input_embeddings().weight
        loss = super().training_step(model, inputs, *options)
        step = self.distance * vectors.grad / (vectors.grad.norm() + 1e-12)
        vectors.data.add_(step)
        super().training_step(model, inputs, *options)
        vectors.data.sub_(step)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(2)
        return loss


class MultiSampleDropout(SentenceTrainer):
    """The mean loss of several dropout masks before the head (Inoue 2019)."""

    samples, dropout = 5, 0.3

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], *options: Any, **more: Any
    ) -> Loss:
        """Return the mean of the samples' cross-entropies."""
        if not model.training:
            return super().compute_loss(model, inputs, *options, **more)
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        hidden = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = model.pool(hidden.float(), mask)
        losses = [
            functional.cross_entropy(
                model.head(functional.dropout(pooled, self.dropout)),
                inputs["labels"],
                reduction="none",
            )
            for _ in range(self.samples)
        ]
        return (sum(losses) / self.samples * inputs["weights"]).mean()


class TokenDropout(SentenceTrainer):
    """A share of the tokens replaced by <mask>, drawn again for every batch."""

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Tensor], *options: Any, **more: Any
    ) -> Loss:
        """Return the loss without the hidden tokens."""
        if model.training:
            ids = inputs["input_ids"]
            hidden = torch.rand(ids.shape) < self.shares()[ids]
            inputs = inputs | {"input_ids": ids.masked_fill(hidden, MASK)}
        return super().compute_loss(model, inputs, *options, **more)

    def shares(self) -> Tensor:
        """Return the share to hide of each token (vocabulary size,), none of the special ones."""
        shares = torch.full((self.model.encoder.config.vocab_size,), 0.1)
        shares[: MASK + 1] = 0
        return shares


class RareHidden(TokenDropout):
    """Half of the tokens that few sentences have: mostly parts of names of people and places."""

    few = 10

    def shares(self) -> Tensor:
        """Return 0.5 for tokens that fewer than `few` training sentences have."""
        if not hasattr(self, "rare"):
            sentences = Counter(
                token for ids in self.train_dataset["input_ids"] for token in set(ids)
            )
            few = [sentences[token] < self.few for token in range(len(super().shares()))]
            few[: MASK + 1] = [False] * (MASK + 1)
            self.rare = torch.tensor(few) / 2
        return self.rare


class LastLayers(SentenceClassifier):
    """The mean of the last four layers' token vectors instead of the last layer's.

    Of three layers that is all of them and the embeddings.
    """

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits (batch, labels) for token ids and mask (batch, tokens)."""
        output = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        )
        hidden = torch.stack([layer.float() for layer in output.hidden_states[-4:]]).mean(0)
        logits: Tensor = self.head(self.dropout(self.pool(hidden, attention_mask)))
        return logits


@dataclass(frozen=True, slots=True)
class Recipe:
    """The difference to the plain recipe: settings, loss, model, or training sentences.

    `soften` has sentences marked `sure: false` learn their label by 0.7 and all labels alike by
    0.3; `authored_first` goes through the first file alone before the others; `evenly` draws as
    many sentences again, so that each value of this field is as likely as the others.
    """

    settings: tuple[str, ...] = ()
    trainer: type[SentenceTrainer] = SentenceTrainer
    model: type[SentenceClassifier] = SentenceClassifier
    soften: bool = False
    authored_first: bool = False
    evenly: Literal["source", "label"] | None = None


def setting(*values: str) -> Recipe:
    """Return the recipe that differs only in these settings."""
    return Recipe(values)


RECIPES = {
    "plain": Recipe(),
    "R-Drop": Recipe(trainer=RDrop),
    "last four layers": Recipe(model=LastLayers),
    "multi-sample dropout": Recipe(trainer=MultiSampleDropout),
    "adversarial": Recipe(trainer=Adversarial),
    "authored first": Recipe(authored_first=True),
    "unsure softened": Recipe(("data.unsure_weight=1.0", "distill.share=0.3"), soften=True),
    "unsure like sure": setting("data.unsure_weight=1.0"),
    "unsure half": setting("data.unsure_weight=0.5"),
    "second label": setting("data.second_share=0.3"),
    "token dropout": Recipe(trainer=TokenDropout),
    "rare tokens hidden": Recipe(trainer=RareHidden),
    "sources evenly": Recipe(evenly="source"),
    "labels evenly": Recipe(evenly="label"),
    "learning rate 1.5e-4": setting("optimisation.learning_rate=1.5e-4"),
    "learning rate 6e-4": setting("optimisation.learning_rate=6e-4"),
    "arabert normaliser": setting("normalizer=arabert"),
    "two epochs": setting("optimisation.epochs=2"),
    "four epochs": setting("optimisation.epochs=4"),
}


def main() -> None:
    """Measure what has not been measured yet, then print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="recipe", help=", ".join(RECIPES))
    parser.add_argument("--train", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--dev", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="SEED")
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="SOURCE")
    options = parser.parse_args()
    names = options.names or list(RECIPES)
    if unknown := set(names) - set(RECIPES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(RECIPES)}")

    done = {(row["recipe"], row["seed"]) for row in read(options.out)}
    todo = [(name, seed) for name in names for seed in options.seeds if (name, seed) not in done]
    # One thread per run: two runs in parallel on two cores finish sooner than one after the other.
    with ProcessPoolExecutor(os.cpu_count(), max_tasks_per_child=1) as pool:
        data = (options.train, options.dev, options.leave_out)
        running = [pool.submit(measure, name, seed, *data) for name, seed in todo]
        for finished in as_completed(running):
            row = finished.result()
            with options.out.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            print(*row.values(), sep="  ", flush=True)
    show(read(options.out), names)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the runs that have been measured."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measure(
    name: str, seed: int, train: list[Path], dev: Path, left_out: list[str]
) -> dict[str, Any]:
    """Train once; return metrics of the last step and of the mean of the last steps' weights."""
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    recipe = RECIPES[name]
    data = (f"data.train={json.dumps(list(map(str, train)))}", f'data.dev=["{dev}"]')
    config = load_config(CONFIG, [*data, *COMMON, *recipe.settings, f"optimisation.seed={seed}"])
    scheme = LabelScheme.read(config.labels)
    sides = read_sides(config, scheme, NORMALIZERS[config.normalizer].apply)
    sentences = [s for s in sides.train if drawn(s.text) and s.source not in left_out]
    elsewhere = [s for s in sides.train if s.source in left_out]
    encoder = load_encoder(encoder_to_load(config.encoder), dropout=config.model.encoder_dropout)
    keep_layers(encoder, config.distill.layers)
    set_seed(seed)  # for the head
    model = recipe.model(
        encoder,
        labels=len(scheme.names),
        dropout=config.model.dropout,
    )
    stages = [sentences]
    if recipe.authored_first:
        first = {line["text"] for line in read(train[0])}
        stages = [[s for s in sentences if (s.text in first) == now] for now in (True, False)]
    if recipe.evenly:
        stages = [evenly(sentences, recipe.evenly, seed)]
    for stage in stages:
        trainer, average = fit(model, stage, sides.dev, config, recipe=recipe)
    other = as_examples(elsewhere, config, scheme.names) if elsewhere else None
    row: dict[str, Any] = {"recipe": name, "seed": seed} | judge(trainer, other)
    assert average.weights is not None
    model.load_state_dict(average.weights)
    return row | {f"average_{key}": value for key, value in judge(trainer, other).items()}


def evenly(
    sentences: Sequence[LabelledSentence], field: Literal["source", "label"], seed: int
) -> list[LabelledSentence]:
    """Draw as many sentences, with replacement, each value of the field as likely as another."""
    values = [getattr(sentence, field) for sentence in sentences]
    counts = Counter(values)
    weights = np.array([1 / counts[value] for value in values])
    random = np.random.default_rng(seed)
    return [
        sentences[index]
        for index in random.choice(len(sentences), len(sentences), p=weights / weights.sum())
    ]


def drawn(text: str) -> bool:
    """Tell whether a sentence is in the subset used for training."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % PART == 0


def fit(
    model: SentenceClassifier,
    sentences: Sequence[LabelledSentence],
    dev: Sequence[LabelledSentence],
    config: TrainConfig,
    *,
    recipe: Recipe,
) -> tuple[SentenceTrainer, WeightAverage]:
    """Train `model` as `rasd train` does, without its checkpoints."""
    names = LabelScheme.read(config.labels).names
    teacher = None
    if recipe.soften:
        teacher = np.full((len(sentences), len(names)), 1 / len(names), np.float32)
        for row, sentence in zip(teacher, sentences, strict=True):
            if sentence.sure:
                row[:] = np.eye(len(names))[names.index(sentence.label)]
    average = WeightAverage(config.optimisation.average_last)
    with tempfile.TemporaryDirectory() as folder:
        trainer = recipe.trainer(
            model,
            replace(training_arguments(config, Path(folder), progress=False), eval_strategy="no"),
            config=config,
            callbacks=[average],
            train_dataset=as_examples(sentences, config, names, teacher),
            eval_dataset=as_examples(dev, config, names),
            data_collator=Collator(int(model.encoder.config.pad_token_id)),
        )
        trainer.train()
    return trainer, average


def as_examples(
    sentences: Sequence[LabelledSentence],
    config: TrainConfig,
    names: Sequence[str],
    teacher: NDArray[np.float32] | None = None,
) -> Dataset:
    """Return the sentences as the trainer reads them."""
    normalize = NORMALIZERS[config.normalizer].apply
    tokenizer = load_tokenizer(
        Path(encoder_to_load(config.encoder)) / "tokenizer.json", max_length=config.max_length
    )
    tokens = tokenize(tokenizer, [normalize(sentence.text) for sentence in sentences])
    return to_examples(sentences, tokens, config, names, teacher)


def judge(trainer: SentenceTrainer, elsewhere: Dataset | None) -> Figures:
    """Return macro-F1, accuracy and calibrated NLL of the current model, and macro-F1 elsewhere."""
    outcome = trainer.predict(trainer.eval_dataset)
    logits, labels = outcome.predictions, outcome.label_ids
    probabilities: NDArray[np.float32] = softmax(logits, *fit_calibration(logits, labels))
    best = logits.argmax(axis=1)
    figures = {
        "macro_f1": float(f1_score(labels, best, average="macro")),
        "accuracy": float((best == labels).mean()),
        "nll": float(-np.log(probabilities[np.arange(len(labels)), labels]).mean()),
    }
    if elsewhere is not None:
        outcome = trainer.predict(elsewhere)
        best = outcome.predictions.argmax(axis=1)
        figures["elsewhere"] = float(f1_score(outcome.label_ids, best, average="macro"))
    return figures


def show(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Print a Markdown table: mean and standard deviation over the seeds, best macro-F1 first."""
    columns = [*COLUMNS, *(column for column in ELSEWHERE if column in rows[0])]
    print(f"\n| recipe | seeds | {' | '.join(columns)} |")
    print("| --- | ---: |" + " ---: |" * len(columns))
    found = {name: [row for row in rows if row["recipe"] == name] for name in names}
    for name in sorted(found, key=lambda name: -np.mean([row["macro_f1"] for row in found[name]])):
        cells = [np.array([row[column] for row in found[name]]) for column in columns]
        texts = (f"{cell.mean():.3f} ± {cell.std(ddof=1):.3f}" for cell in cells)
        print(f"| {name} | {len(found[name])} | {' | '.join(texts)} |")


if __name__ == "__main__":
    main()
