"""Fine-tuning with transformers' Trainer: what it is given, and which epoch is kept."""

import copy
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    EvalPrediction,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from serving.onnx_model import TokenIds
from training.batches import Collator, LengthSampler
from training.config import TrainConfig
from training.labelled import LabelledSentence
from training.model import SentenceClassifier
from training.optimisation import WeightAverage, parameter_groups


@dataclass(frozen=True, slots=True)
class FineTuned:
    """The kept weights' model, and what was seen on the way: one entry an epoch."""

    model: SentenceClassifier
    history: list[dict[str, Any]]
    kept: str


def fine_tune(
    model: SentenceClassifier,
    train: Sequence[LabelledSentence],
    train_tokens: Sequence[TokenIds],
    dev: Sequence[LabelledSentence],
    dev_tokens: Sequence[TokenIds],
    *,
    config: TrainConfig,
    names: Sequence[str],
    padding_id: int,
    folder: Path,
    progress: bool,
) -> FineTuned:
    """Train `model` in place and keep the weights with the best macro-F1 on `dev`.

    The candidates are each epoch's last weights and, with `average_last`, the mean of the last
    steps' weights. `folder` takes the Trainer's checkpoints.
    """
    step = config.optimisation
    data = _examples(train, train_tokens, config, names)
    dev_data = _examples(dev, dev_tokens, config, names)
    steps = math.ceil(math.ceil(len(data) / step.batch_size) / step.gradient_accumulation)
    average = WeightAverage(first_step=int(steps * step.epochs * (1 - step.average_last)))
    trainer = _RasdTrainer(
        model,
        _arguments(
            config, folder, progress=progress, warmup=int(steps * step.epochs * step.warmup_ratio)
        ),
        train_dataset=data,
        # Longest first: a batch that does not fit in memory fails at once, and none pads much.
        eval_dataset=dev_data.sort("length", reverse=True),
        data_collator=Collator(padding_id),
        compute_metrics=_selection_metrics,
        callbacks=[average] if step.average_last > 0 else [],
        config=config,
    )
    trainer.remove_callback(ProgressCallback if progress else PrinterCallback)
    trainer.add_callback(_Bar if progress else _Lines)
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "eval_macro_f1" in entry]
    best = max(history, key=lambda entry: entry["eval_macro_f1"])
    kept = f"epoch {best['epoch']:.0f}"
    if average.weights is not None:
        best_weights = copy.deepcopy(model.state_dict())
        model.load_state_dict(average.weights)
        entry = trainer.evaluate() | {"epoch": "average"}
        history.append(entry)
        if entry["eval_macro_f1"] >= best["eval_macro_f1"]:
            kept = "average"
        else:
            model.load_state_dict(best_weights)
    # Mixed precision has wrapped the model's forward; what is exported must compute in fp32.
    trainer.accelerator.unwrap_model(trainer.model_wrapped, keep_fp32_wrapper=False)
    return FineTuned(model, [_rounded(entry) for entry in history], kept)


def _examples(
    sentences: Sequence[LabelledSentence],
    tokens: Sequence[TokenIds],
    config: TrainConfig,
    names: Sequence[str],
) -> Dataset:
    """Return one row a sentence: its ids, their number, its label's number, its loss's weight."""
    labels = [names.index(sentence.label) for sentence in sentences]
    counts = np.bincount(labels, minlength=len(names))
    # Rarer labels weigh more: count^-power, scaled so that the mean over all sentences is 1.
    weights = np.maximum(counts, 1) ** -config.optimisation.class_weight_power
    weights *= len(labels) / (weights * counts).sum()
    sure = np.where([s.sure for s in sentences], 1.0, config.data.unsure_weight)
    return Dataset.from_dict(
        {
            "input_ids": [item.ids for item in tokens],
            "length": [len(item.ids) for item in tokens],
            "label": labels,
            "weight": weights[labels] * sure,
        }
    )


def _arguments(
    config: TrainConfig, folder: Path, *, progress: bool, warmup: int
) -> TrainingArguments:
    step = config.optimisation
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=step.epochs,
        per_device_train_batch_size=step.batch_size,
        per_device_eval_batch_size=step.batch_size,
        gradient_accumulation_steps=step.gradient_accumulation,
        learning_rate=step.learning_rate,
        warmup_steps=warmup,
        max_grad_norm=step.max_grad_norm,
        bf16=_use_bf16(step.precision),
        seed=step.seed,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="macro_f1",
        label_names=["labels"],
        remove_unused_columns=False,
        logging_strategy="epoch",
        disable_tqdm=not progress,
        report_to="none",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _use_bf16(precision: str) -> bool:
    """Return whether to compute in bfloat16: where it is asked for, or where hardware has it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def _selection_metrics(outcome: EvalPrediction) -> dict[str, float]:
    predicted = np.asarray(outcome.predictions).argmax(axis=1)
    return {
        "macro_f1": float(f1_score(outcome.label_ids, predicted, average="macro")),
        "accuracy": float(accuracy_score(outcome.label_ids, predicted)),
    }


def _rounded(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "epoch": entry["epoch"],
        "macro_f1": round(entry["eval_macro_f1"], 4),
        "accuracy": round(entry["eval_accuracy"], 4),
    }


class _Lines(TrainerCallback):
    """A line on stderr for every evaluation."""

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  the Trainer passes it by position
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        sys.stderr.write(
            f"epoch {state.epoch:.0f} of {args.num_train_epochs:.0f}: "
            f"macro-F1 {metrics['eval_macro_f1']:.4f}, accuracy {metrics['eval_accuracy']:.4f}\n"
        )


class _Bar(ProgressCallback, _Lines):
    """The Trainer's bar with our lines in place of its dictionaries."""

    def on_log(self, *_: Any, **__: Any) -> None:
        pass

    def on_evaluate(self, *arguments: Any, **options: Any) -> None:
        ProgressCallback.on_evaluate(self, *arguments, **options)
        _Lines.on_evaluate(self, *arguments, **options)


class _RasdTrainer(Trainer):
    """The Trainer with weighted sentences, layer-wise learning rates and batches by length."""

    def __init__(self, *arguments: Any, config: TrainConfig, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.step_config = config.optimisation

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        logits = model(inputs["input_ids"], inputs["attention_mask"]).float()
        losses = functional.cross_entropy(
            logits,
            inputs["labels"],
            reduction="none",
            label_smoothing=self.step_config.label_smoothing,
        )
        loss = (losses * inputs["weights"]).mean()
        return (loss, {"logits": logits}) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthSampler:  # noqa: ARG002
        return LengthSampler(
            list(self.train_dataset["length"]),
            batch_size=self.args.train_batch_size,
            seed=self.step_config.seed,
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:  # noqa: ARG002
        if not hasattr(self, "optimizer") or self.optimizer is None:
            self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
                parameter_groups(self.model, self.step_config),
                betas=(0.9, 0.98),
                eps=1e-6,
                fused=True,
            )
        return self.optimizer
