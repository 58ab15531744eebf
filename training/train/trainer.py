"""transformers' Trainer as this project uses it: loss, learning rates, order, precision, bars."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn import functional
from tqdm.auto import tqdm
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
from transformers.integrations import (
    TensorBoardCallback,
    get_available_reporting_integrations,
    get_reporting_integration_callbacks,
)

from serving.errors import InputError
from training.config import OptimisationConfig, TrainConfig
from training.train.batches import NO_LABEL, LengthSampler
from training.train.failures import diverged
from training.train.optimisation import parameter_groups


def check_hardware_and_trackers(step: OptimisationConfig) -> None:
    """Raise InputError for a precision that this machine lacks or a tracker that is not there."""
    if step.precision == "fp16" and not torch.cuda.is_available():
        raise InputError(
            "optimisation.precision is 'fp16', but PyTorch sees no GPU",
            "It must be auto, bf16 or fp32 here.",
        )
    for name in step.report_to:
        try:
            get_reporting_integration_callbacks([name])
        except ValueError as error:
            raise InputError(
                f"optimisation.report_to: unknown tracker {name!r}", f"transformers says: {error}"
            ) from error
        if name not in get_available_reporting_integrations():
            raise InputError(
                f"optimisation.report_to: the tracker {name} is not installed",
                f"Install it (pip install {name}), or take it out of the list.",
            )


def say(line: str) -> None:
    """Write a line on stderr, above the bars if there are any; of several processes one speaks."""
    if PartialState().is_main_process:
        tqdm.write(line, file=sys.stderr)


def training_arguments(
    config: TrainConfig, seed: int, folder: Path, *, progress: bool
) -> TrainingArguments:
    """Return the Trainer's settings; `folder` takes its checkpoints."""
    step = config.optimisation
    return TrainingArguments(
        output_dir=str(folder),
        run_name=f"{config.name}-{folder.name}",
        num_train_epochs=step.epochs,
        per_device_train_batch_size=step.batch_size,
        per_device_eval_batch_size=step.batch_size,
        gradient_accumulation_steps=step.gradient_accumulation,
        learning_rate=step.learning_rate,
        warmup_steps=step.warmup_ratio,
        max_grad_norm=step.max_grad_norm,
        bf16=use_bf16(step.precision),
        fp16=step.precision == "fp16",
        seed=seed,
        eval_strategy="epoch",
        save_strategy="no",  # `resume.Checkpoints` says when
        label_names=["labels"],
        remove_unused_columns=False,
        logging_steps=10,
        logging_nan_inf_filter=False,  # it would hide a loss that has run away
        disable_tqdm=not progress,
        report_to=list(step.report_to) or "none",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


class SentenceTrainer(Trainer):
    """The Trainer with weighted sentences, layer-wise learning rates and batches by length."""

    def __init__(
        self,
        model: nn.Module,
        arguments: TrainingArguments,
        *,
        config: TrainConfig,
        callbacks: Sequence[TrainerCallback] = (),
        **options: Any,
    ) -> None:
        super().__init__(
            model,
            arguments,
            compute_metrics=self._selection_metrics,
            callbacks=list(callbacks),
            **options,
        )
        self.config = config
        progress = not arguments.disable_tqdm
        self.remove_callback(ProgressCallback if progress else PrinterCallback)
        self.add_callback(_Bar if progress else _Lines)
        for tracker in self.callback_handler.callbacks:
            # Its own choice lies among the checkpoints, which go when the run is done.
            if isinstance(tracker, TensorBoardCallback) and tracker.logging_dir is None:
                seed, run = Path(arguments.output_dir).name, Path(arguments.output_dir).parents[1]
                tracker.logging_dir = str(run / "logs" / seed)
        self.sampler = LengthSampler(
            list(self.train_dataset["length"]),
            batch_size=arguments.train_batch_size,
            seed=arguments.seed,
        )
        self.add_callback(_Order(self.sampler))

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of the sentences' weighted cross-entropies.

        A sentence's is that with its label and that with its teachers' answer, each by its share;
        the latter times the square of the temperature, so that a share means the same at each
        (Hinton et al. 2015, section 2).
        """
        logits = model(inputs["input_ids"], inputs["attention_mask"]).float()
        losses = functional.cross_entropy(
            logits,
            inputs["labels"],
            reduction="none",
            label_smoothing=self.config.optimisation.label_smoothing,
            ignore_index=NO_LABEL,
        )
        if "teacher" in inputs:
            heat, share = self.config.distill.temperature, inputs["teacher_share"]
            soft = functional.cross_entropy(logits / heat, inputs["teacher"], reduction="none")
            losses = (1 - share) * losses + share * heat**2 * soft
        loss = (losses * inputs["weights"]).mean()
        return (loss, {"logits": logits}) if return_outputs else loss

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        """Compute one batch's gradients and loss; raise DivergedError if it is no number."""
        loss: Tensor = super().training_step(*arguments, **options)
        if not math.isfinite(loss.item()):
            where = f"the loss is {loss.item()} at step {self.state.global_step + 1:,}"
            raise diverged(where, self.config)
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:  # noqa: ARG002
        """Return AdamW with the learning rates of `parameter_groups`."""
        if not hasattr(self, "optimizer") or self.optimizer is None:
            self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
                parameter_groups(self.model, self.config.optimisation),
                betas=(0.9, 0.98),
                eps=1e-6,
                fused=True,
            )
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthSampler:  # noqa: ARG002
        return self.sampler

    def _selection_metrics(self, outcome: EvalPrediction) -> dict[str, float]:
        logits = np.asarray(outcome.predictions)
        if not np.isfinite(logits).all():
            raise diverged("a held-out sentence has a logit that is no number", self.config)
        predicted = logits.argmax(axis=1)
        return {
            "macro_f1": float(f1_score(outcome.label_ids, predicted, average="macro")),
            "accuracy": float(accuracy_score(outcome.label_ids, predicted)),
        }


def use_bf16(precision: str) -> bool:
    """Return whether to compute in bfloat16: where it is asked for, or where hardware has it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


class _Order(TrainerCallback):
    """Tells the sampler which epoch begins.

    accelerate does so too, but not through both its wrappers for several processes and for a run
    that goes on in the middle of an epoch.
    """

    def __init__(self, sampler: LengthSampler) -> None:
        self._sampler = sampler

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  the Trainer passes it by position
        **_: Any,
    ) -> None:
        self._sampler.set_epoch(state.global_step * int(args.num_train_epochs) // state.max_steps)


class _Lines(TrainerCallback):
    """A line on stderr for every tenth of the way and for every evaluation."""

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  the Trainer passes it by position
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        if state.global_step % max(1, state.max_steps // 10) == 0:
            say(f"step {state.global_step:,} of {state.max_steps:,}")

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002  the Trainer passes it by position
        metrics: dict[str, float],
        **_: Any,
    ) -> None:
        say(
            f"epoch {state.epoch:.0f} of {args.num_train_epochs:.0f}: "
            f"macro-F1 {metrics['eval_macro_f1']:.4f}, accuracy {metrics['eval_accuracy']:.4f}"
        )


class _Bar(ProgressCallback, _Lines):
    """The Trainer's bar with our lines in place of its dictionaries."""

    def on_log(self, *_: Any, **__: Any) -> None:
        pass

    def on_evaluate(self, *arguments: Any, **options: Any) -> None:
        ProgressCallback.on_evaluate(self, *arguments, **options)
        _Lines.on_evaluate(self, *arguments, **options)
