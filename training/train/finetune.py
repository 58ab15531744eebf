"""Fine-tuning: trains a model, resumes an interrupted run and keeps the best weights."""

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from datasets import Dataset
from pydantic import BaseModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from serving.atomic import atomic_file
from serving.provenance import Epoch
from serving.terminal import counted
from training.config import TrainConfig
from training.model.classifier import SentenceClassifier
from training.train.batches import Collator
from training.train.optimisation import WeightAverage
from training.train.resume import RESULT, Checkpoints, newest_checkpoint
from training.train.trainer import SentenceTrainer, say, training_arguments

_KEPT = "kept.safetensors"
_BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Examples:
    """The two sides as rows for the Trainer (see `batches`), and the id that pads them."""

    train: Dataset
    dev: Dataset
    padding_id: int


class Trained(BaseModel):
    """The outcome of a training run: which weights were kept, and the metrics of every epoch.

    With `average_last`, `history` ends with the metrics of the averaged weights.
    """

    kept: str
    history: tuple[Epoch, ...]


def fine_tune(
    model: SentenceClassifier,
    examples: Examples,
    config: TrainConfig,
    folder: Path,
    *,
    progress: bool,
    prefer_average: bool = False,
) -> Trained:
    """Train; give `model` the weights with the best macro-F1 on the held-out sentences.

    The candidates are the weights at the end of each epoch and, with `average_last`, the mean of
    the last steps. With `prefer_average` that mean is kept whatever the others have. `folder` holds
    the checkpoints, from which an interrupted run resumes.
    """
    if not (folder / RESULT).is_file():
        # A copy: the Trainer leaves the model that it trains wrapped in autocast.
        _train(
            copy.deepcopy(model),
            examples,
            config,
            folder,
            progress=progress,
            prefer_average=prefer_average,
        )
    model.load_state_dict(load_file(folder / _KEPT))
    return Trained.model_validate_json((folder / RESULT).read_bytes())


def _train(
    model: SentenceClassifier,
    examples: Examples,
    config: TrainConfig,
    folder: Path,
    *,
    progress: bool,
    prefer_average: bool,
) -> None:
    """Train from the newest checkpoint, if any; write the kept weights and RESULT."""
    settings = config.optimisation
    average = WeightAverage(settings.average_last)
    best = _BestEpoch(folder, patience=settings.early_stopping)
    trainer = SentenceTrainer(
        model,
        training_arguments(config, folder, progress=progress),
        config=config,
        callbacks=[average, best, Checkpoints(settings.checkpoint_steps, average)],
        train_dataset=examples.train,
        # Longest first: a batch that does not fit in memory fails at once, and none pads much.
        eval_dataset=examples.dev.select(np.argsort(examples.dev["length"])[::-1]),
        data_collator=Collator(examples.padding_id),
    )
    checkpoint = newest_checkpoint(folder)
    if checkpoint is not None:
        average.restore(checkpoint, trainer.args.device)
        trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        say(f"resuming after step {trainer.state.global_step:,}")
    if checkpoint is None or not best.is_over(trainer.state):
        if checkpoint is None:
            say(f"training on {counted(len(examples.train), 'sentence')}")
        if settings.gradient_checkpointing:
            trainer.model.checkpoint_gradients()
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))

    history = [_epoch(round(entry["epoch"]), entry) for entry in _evaluations(trainer.state)]
    top = max(history, key=lambda epoch: epoch.macro_f1)
    kept = f"epoch {top.epoch}"
    if average.weights is not None:
        trainer.model.load_state_dict(average.weights)
        outcome = trainer.predict(trainer.eval_dataset, metric_key_prefix="eval")
        history.append(_epoch("average", outcome.metrics))
        say(f"mean of the last steps: macro-F1 {history[-1].macro_f1:.4f}")
        if prefer_average or history[-1].macro_f1 >= top.macro_f1:
            kept = "average"
    if trainer.args.should_save:
        if kept == "average":
            with atomic_file(folder / _KEPT) as path:
                save_file(average.weights, path)
        else:
            (folder / _BEST).replace(folder / _KEPT)
        with atomic_file(folder / RESULT) as path:
            result = Trained(kept=kept, history=tuple(history))
            path.write_text(result.model_dump_json(), encoding="utf-8")
        for done in folder.glob("checkpoint-*"):
            shutil.rmtree(done)
        (folder / _BEST).unlink(missing_ok=True)
    PartialState().wait_for_everyone()


def _evaluations(state: TrainerState) -> Sequence[dict[str, Any]]:
    return [entry for entry in state.log_history if "eval_macro_f1" in entry]


def _epoch(epoch: Any, metrics: dict[str, float]) -> Epoch:
    return Epoch(
        epoch=epoch,
        macro_f1=round(metrics["eval_macro_f1"], 4),
        accuracy=round(metrics["eval_accuracy"], 4),
    )


class _BestEpoch(TrainerCallback):
    """Keeps the weights of the best epoch on disk and stops a run that no longer improves."""

    def __init__(self, folder: Path, patience: int | None) -> None:
        """Write into `folder`; stop after `patience` epochs without improvement, if not None."""
        self._file = folder / _BEST
        self._patience = patience

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        **_: Any,
    ) -> None:
        """Save the weights of the best epoch so far; stop the run if patience has run out."""
        if self._since_best(state) == 0 and args.should_save:
            with atomic_file(self._file) as path:
                save_file(model.state_dict(), path)
        if self.is_over(state):
            epochs = counted(self._since_best(state), "epoch")
            say(f"no better macro-F1 for {epochs}: stopped early")
            control.should_training_stop = True

    def is_over(self, state: TrainerState) -> bool:
        """Tell whether there was no improvement for `patience` epochs."""
        return self._patience is not None and self._since_best(state) >= self._patience

    def _since_best(self, state: TrainerState) -> int:
        """Return the epochs since the best one, the first of equals; 0 if there is none yet."""
        scores = [entry["eval_macro_f1"] for entry in _evaluations(state)]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0
