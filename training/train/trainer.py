"""transformers' Trainer with our loss, optimiser, order of batches, precision and progress."""

import math
import sys
import time
from collections.abc import Sequence
from functools import cache
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

from serving.atomic import atomic_file
from serving.errors import InputError
from training.config import OptimisationConfig, TrainConfig
from training.train.batches import NO_LABEL, LengthSampler
from training.train.failures import diverged
from training.train.optimisation import parameter_groups

# The norm to which gradients are clipped; every shipped model was trained with it.
_MAX_GRADIENT_NORM = 1.0
# Rounds in which bf16 is timed on a CPU, and how much faster it must be: its gradients are coarser.
_TRIES = 8
_GAIN = 1.2


def check_hardware_and_trackers(settings: OptimisationConfig) -> None:
    """Raise InputError for a precision that this machine lacks or a tracker not installed."""
    if settings.precision == "fp16" and not torch.cuda.is_available():
        raise InputError(
            "optimisation.precision is 'fp16', but PyTorch sees no GPU",
            "It must be auto, bf16 or fp32 here.",
        )
    for name in settings.report_to:
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
    """Write a line to stderr, above any progress bar; only the main process writes."""
    if PartialState().is_main_process:
        tqdm.write(line, file=sys.stderr)


def training_arguments(config: TrainConfig, folder: Path, *, progress: bool) -> TrainingArguments:
    """Return the Trainer's settings; it writes its checkpoints to `folder`."""
    settings = config.optimisation
    return TrainingArguments(
        output_dir=str(folder),
        run_name=config.name,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_ratio,
        max_grad_norm=_MAX_GRADIENT_NORM,
        bf16=use_bf16(settings.precision),
        fp16=settings.precision == "fp16",
        seed=settings.seed,
        eval_strategy="epoch",
        save_strategy="no",  # `resume.Checkpoints` decides
        label_names=["labels"],
        remove_unused_columns=False,
        logging_steps=10,
        logging_nan_inf_filter=False,  # it would hide a loss that diverges
        disable_tqdm=not progress,
        report_to=list(settings.report_to) or "none",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


class SentenceTrainer(Trainer):
    """The Trainer with sentence weights, our optimiser groups and batches by length."""

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
        show_progress(self)
        for tracker in self.callback_handler.callbacks:
            # Its default is beside the checkpoints, which are removed when the run is done.
            if isinstance(tracker, TensorBoardCallback) and tracker.logging_dir is None:
                tracker.logging_dir = str(Path(arguments.output_dir).parent / "logs")
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
        """Return the weighted mean cross-entropy of a batch.

        The target of a sentence is a mixture of its label and the teachers' probabilities.
        """
        logits = model(inputs["input_ids"], inputs["attention_mask"]).float()
        # Without label smoothing: it brings logits closer together, so int8 changes more labels.
        losses = functional.cross_entropy(
            logits, inputs["labels"], reduction="none", ignore_index=NO_LABEL
        )
        if "teacher" in inputs:
            share = inputs["teacher_share"]
            soft = functional.cross_entropy(logits, inputs["teacher"], reduction="none")
            losses = (1 - share) * losses + share * soft
        loss = (losses * inputs["weights"]).mean()
        return (loss, {"logits": logits}) if return_outputs else loss

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        """Compute a batch's gradients and loss; raise DivergedError if the loss is not finite."""
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
            raise diverged("a held-out sentence has a logit that is not finite", self.config)
        predicted = logits.argmax(axis=1)
        return {
            "macro_f1": float(f1_score(outcome.label_ids, predicted, average="macro")),
            "accuracy": float(accuracy_score(outcome.label_ids, predicted)),
        }


def show_progress(trainer: Trainer) -> None:
    """Replace the progress of transformers, which writes to stdout, by a bar or lines on stderr."""
    bar = not trainer.args.disable_tqdm
    trainer.remove_callback(ProgressCallback if bar else PrinterCallback)
    trainer.add_callback(_Bar if bar else ProgressLines)


def settle_precision(config: TrainConfig, stored: Path) -> TrainConfig:
    """Return the configuration with bf16 or fp32 in place of `auto`.

    What is faster is timed once, and kept in the file `stored`: a resumed run, or another of its
    processes, could find differently.
    """
    precision = config.optimisation.precision
    if precision != "auto":
        return config
    process = PartialState()
    if process.is_main_process and not stored.is_file():
        with atomic_file(stored) as path:
            path.write_text("bf16" if use_bf16(precision) else "fp32", encoding="utf-8")
    process.wait_for_everyone()
    chosen = {"precision": stored.read_text(encoding="utf-8")}
    return config.model_copy(update={"optimisation": config.optimisation.model_copy(update=chosen)})


def use_bf16(precision: str) -> bool:
    """Return whether to compute in bfloat16: if set, or with `auto` if it is faster here."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported()) and _bf16_gains()


@cache
def _bf16_gains() -> bool:
    """Time a layer's product in both precisions.

    The instructions alone do not tell: a Xeon that offers AVX512-BF16 without AMX, as in some
    virtual machines, needs 1.8 times as long for a product as in fp32. `benchmarks/attention.py`
    compares whole steps.
    """
    bf16, fp32 = torch.ones(1024, 768, dtype=torch.bfloat16), torch.ones(1024, 768)
    seconds = [(_seconds(bf16), _seconds(fp32)) for _ in range(_TRIES)]
    return _GAIN * min(one for one, _ in seconds) < min(other for _, other in seconds)


def _seconds(matrix: Tensor) -> float:
    started = time.perf_counter()
    matrix.T @ matrix
    return time.perf_counter() - started


class _Order(TrainerCallback):
    """Tells the sampler which epoch begins.

    accelerate does so too, but not with several processes when a run resumes inside an epoch.
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


class ProgressLines(TrainerCallback):
    """A line on stderr for every tenth of the steps and for every evaluation."""

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  the Trainer passes it by position
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        """Write a line if a tenth of the steps is done."""
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
        """Write the metrics."""
        say(
            f"epoch {state.epoch:.0f} of {args.num_train_epochs:.0f}: "
            f"macro-F1 {metrics['eval_macro_f1']:.4f}, accuracy {metrics['eval_accuracy']:.4f}"
        )


class _Bar(ProgressCallback, ProgressLines):
    """The Trainer's progress bar, with our lines instead of its dictionaries."""

    def on_log(self, *_: Any, **__: Any) -> None:
        pass

    def on_evaluate(self, *arguments: Any, **options: Any) -> None:
        ProgressCallback.on_evaluate(self, *arguments, **options)
        ProgressLines.on_evaluate(self, *arguments, **options)
