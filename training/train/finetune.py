"""Fine-tuning: one training a seed, each kept at its best, their weights averaged if it pays."""

import copy
import json
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from serving.atomic import atomic_file
from training.config import TrainConfig
from training.model.classifier import SentenceClassifier
from training.train.batches import Collator
from training.train.optimisation import WeightAverage
from training.train.resume import RESULT, Checkpoints, newest_checkpoint
from training.train.trainer import SentenceTrainer, say, training_arguments

Weights = dict[str, Tensor]

_KEPT = "kept.safetensors"


@dataclass(frozen=True, slots=True)
class Examples:
    """The two sides as rows for the Trainer (see `batches`), and the id that pads them."""

    train: Dataset
    dev: Dataset
    padding_id: int


@dataclass(frozen=True, slots=True)
class Trained:
    """One seed's training: which weights were kept, how good they are on the held-out side.

    `history` has an entry an epoch, and one for the mean of the last weights.
    """

    seed: int
    kept: str
    macro_f1: float
    history: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FineTuned:
    """The kept weights' model, what was seen on the way, and how far the seeds lie apart.

    `seeds` is empty for a single seed.
    """

    model: SentenceClassifier
    history: list[dict[str, Any]]
    kept: str
    seeds: dict[str, Any]


def fine_tune(
    model: SentenceClassifier,
    examples: Examples,
    config: TrainConfig,
    folder: Path,
    *,
    progress: bool,
) -> FineTuned:
    """Train copies of `model`, one a seed; return the weights with the best macro-F1 held out.

    Within one seed the candidates are each epoch's last weights and, with `average_last`, the mean
    of the last steps' weights. `folder` holds checkpoints and finished seeds; what is there already
    is not done again.
    """
    seeds = config.optimisation.seeds or (config.optimisation.seed,)
    runs = [
        _train_seed(
            copy.deepcopy(model), examples, config, seed, folder / f"seed-{seed}", progress=progress
        )
        for seed in seeds
    ]
    history = [entry for run in runs for entry in run.history]
    if len(runs) == 1:
        model.load_state_dict(load_file(folder / f"seed-{seeds[0]}" / _KEPT))
        return FineTuned(model, history, runs[0].kept, {})

    twin = copy.deepcopy(model)  # the Trainer wraps the model that it is given
    judge = _trainer(twin, examples, config, seeds[0], folder / "soup", progress=progress)
    chosen, weights, macro_f1 = _greedy_soup(runs, folder, judge)
    model.load_state_dict(weights)
    kept = f"seed {chosen[0].seed}, {chosen[0].kept}"
    if len(chosen) > 1:
        kept = "mean of seeds " + ", ".join(str(run.seed) for run in chosen)
    scores = [run.macro_f1 for run in runs]
    summary = {
        "macro_f1": {str(run.seed): run.macro_f1 for run in runs},
        "mean": round(statistics.mean(scores), 4),
        "standard_deviation": round(statistics.stdev(scores), 4),
        "kept": {"weights": kept, "macro_f1": macro_f1},
    }
    say(f"{len(runs)} seeds: macro-F1 {summary['mean']} ± {summary['standard_deviation']}")
    say(f"kept: {kept}, macro-F1 {macro_f1:.4f}")
    return FineTuned(model, history, kept, summary)


def _train_seed(
    model: SentenceClassifier,
    examples: Examples,
    config: TrainConfig,
    seed: int,
    folder: Path,
    *,
    progress: bool,
) -> Trained:
    """Train with one seed, from its last checkpoint if it has one; leave the result in `folder`."""
    if (folder / RESULT).is_file():
        return Trained(**json.loads((folder / RESULT).read_text(encoding="utf-8")))
    step = config.optimisation
    average = WeightAverage(step.average_last)
    best = _BestEpoch(folder, patience=step.early_stopping)
    callbacks = [average, best, Checkpoints(step.checkpoint_steps, average)]
    trainer = _trainer(
        model, examples, config, seed, folder, progress=progress, callbacks=callbacks
    )
    checkpoint = newest_checkpoint(folder)
    if checkpoint is not None:
        average.restore(checkpoint, trainer.args.device)
        trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        say(f"seed {seed}: goes on after step {trainer.state.global_step:,}")
    if checkpoint is None or not best.is_over(trainer.state):
        if checkpoint is None:
            say(f"seed {seed}: begins with {len(examples.train):,} sentences")
        if step.gradient_checkpointing:
            trainer.model.checkpoint_gradients()
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))

    history = [
        {"seed": seed, "epoch": round(entry["epoch"]), **_figures(entry)}
        for entry in _evaluations(trainer.state)
    ]
    top = max(history, key=lambda entry: entry["macro_f1"])
    kept, weights = f"epoch {top['epoch']}", None
    if average.weights is not None:
        entry = {"seed": seed, "epoch": "average", **_judge(trainer, average.weights)}
        say(f"mean of the last steps: macro-F1 {entry['macro_f1']:.4f}")
        history.append(entry)
        if entry["macro_f1"] >= top["macro_f1"]:
            top, kept, weights = entry, "average", average.weights
    trained = Trained(seed, kept, top["macro_f1"], history)
    if trainer.args.should_save:
        _leave_result(folder, trained, weights)
    PartialState().wait_for_everyone()
    return trained


def _trainer(
    model: SentenceClassifier,
    examples: Examples,
    config: TrainConfig,
    seed: int,
    folder: Path,
    *,
    progress: bool,
    callbacks: Sequence[TrainerCallback] = (),
) -> SentenceTrainer:
    return SentenceTrainer(
        model,
        training_arguments(config, seed, folder, progress=progress),
        config=config,
        callbacks=callbacks,
        train_dataset=examples.train,
        # Longest first: a batch that does not fit in memory fails at once, and none pads much.
        eval_dataset=examples.dev.select(np.argsort(examples.dev["length"])[::-1]),
        data_collator=Collator(examples.padding_id),
    )


def _leave_result(folder: Path, trained: Trained, weights: Weights | None) -> None:
    """Write what a finished seed is worth, `weights` or else its best epoch's; drop the rest."""
    if weights is None:
        (folder / _BestEpoch.FILE).replace(folder / _KEPT)
    else:
        with atomic_file(folder / _KEPT) as path:
            save_file(weights, path)
    with atomic_file(folder / RESULT) as path:
        path.write_text(json.dumps(asdict(trained)), encoding="utf-8")
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    (folder / _BestEpoch.FILE).unlink(missing_ok=True)


def _greedy_soup(
    runs: Sequence[Trained], folder: Path, judge: SentenceTrainer
) -> tuple[list[Trained], Weights, float]:
    """Return the seeds whose mean weights are best on the held-out side, that mean, its macro-F1.

    Wortsman et al. 2022, "Model soups", recipe 1: from the best seed on, each next one joins if
    the mean is no worse with it. So the result is never worse there than the best seed. Averaging
    works because all seeds start from the same weights, head included.
    """
    ranked = sorted(runs, key=lambda run: -run.macro_f1)
    chosen, macro_f1 = [ranked[0]], ranked[0].macro_f1
    weights = load_file(folder / f"seed-{ranked[0].seed}" / _KEPT)
    for run in ranked[1:]:
        other = load_file(folder / f"seed-{run.seed}" / _KEPT)
        share = 1 / (len(chosen) + 1)
        mean = {
            name: torch.lerp(value, other[name], share) if value.is_floating_point() else value
            for name, value in weights.items()
        }
        found = _judge(judge, mean)["macro_f1"]
        if found >= macro_f1:
            weights, macro_f1 = mean, found
            chosen.append(run)
    return chosen, weights, macro_f1


def _judge(trainer: SentenceTrainer, weights: Weights) -> dict[str, float]:
    """Return the figures of `weights`, which the trainer's model takes on, on the held-out side."""
    trainer.model.load_state_dict(weights)
    outcome = trainer.predict(trainer.eval_dataset, metric_key_prefix="eval")
    return _figures(outcome.metrics)


def _evaluations(state: TrainerState) -> list[dict[str, Any]]:
    return [entry for entry in state.log_history if "eval_macro_f1" in entry]


def _figures(entry: dict[str, Any]) -> dict[str, float]:
    return {
        "macro_f1": round(entry["eval_macro_f1"], 4),
        "accuracy": round(entry["eval_accuracy"], 4),
    }


class _BestEpoch(TrainerCallback):
    """Keeps the weights of the best epoch so far on disk; stops when none better has come."""

    FILE = "best.safetensors"

    def __init__(self, folder: Path, patience: int | None) -> None:
        """Write into `folder`; stop after `patience` epochs without a better one, if not None."""
        self._file = folder / self.FILE
        self._patience = patience

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        **_: Any,
    ) -> None:
        """Save the epoch's weights if it is the best, and stop if it is time to."""
        if self._since_best(state) == 0 and args.should_save:
            with atomic_file(self._file) as path:
                save_file(model.state_dict(), path)
        if self.is_over(state):
            say(f"no better macro-F1 for {self._patience} epochs: stopped early")
            control.should_training_stop = True

    def is_over(self, state: TrainerState) -> bool:
        """Tell whether the patience is spent."""
        return self._patience is not None and self._since_best(state) >= self._patience

    def _since_best(self, state: TrainerState) -> int:
        """Return the epochs since the best one, the first of equals; 0 if there is none yet."""
        scores = [entry["eval_macro_f1"] for entry in _evaluations(state)]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0
