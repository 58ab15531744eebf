"""The steps of `rasd adapt`: text to token ids, masked language modelling, an encoder on disk."""

import hashlib
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import Dataset, Sampler
from transformers import Trainer, TrainingArguments, set_seed
from transformers.utils import logging

from serving.atomic import atomic_folder, check_place
from serving.bundle import sha256
from serving.errors import InputError, RasdError
from serving.files.documents import DocumentStream
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.progress import SentenceProgress
from serving.terminal import counted, tell, tell_notes
from serving.text.normalize import NORMALIZERS
from training.adapt.model import MaskedLanguageModel, Masking
from training.arrays import IntArray
from training.config import FIXED_SEED
from training.model.classifier import load_encoder, longest_input
from training.train.batches import LengthSampler
from training.train.failures import DivergedError, out_of_memory_is
from training.train.optimisation import WeightAverage
from training.train.resume import Checkpoints, discard, newest_checkpoint, reserve
from training.train.trainer import show_progress, use_bf16
from training.trim.card import write_card
from training.trim.encoder_files import EncoderFiles, load_encoder_files

_CHUNK = 512  # texts tokenised together
_LENGTH = 128  # longer texts are cut: sentences are hardly ever longer
_SHORTEST = 8
_HELD_OUT = 1000
_SAVE_STEPS = 1000
# The share of the steps in which the learning rate rises.
_WARMUP = 0.05
_WORKERS = 6  # that hide tokens while a GPU computes


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read the text and how to train."""

    normalizer: str
    text_field: str | None
    epochs: int
    batch_size: int
    learning_rate: float


class Rows(Dataset[IntArray]):
    """Token ids of texts, one after the other in one array; `starts` has n + 1 numbers."""

    def __init__(self, ids: IntArray, starts: IntArray) -> None:
        self.ids, self.starts = ids, starts

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> IntArray:
        return self.ids[self.starts[row] : self.starts[row + 1]]

    def fingerprint(self) -> str:
        """Return the SHA-256 of all token ids and of where the texts start, in hexadecimal."""
        digest = hashlib.sha256(self.ids.data)
        digest.update(self.starts.data)
        return digest.hexdigest()

    def lengths(self) -> IntArray:
        """Return the number of tokens of each text."""
        return np.diff(self.starts)

    def summary(self) -> str:
        """Return in words how many texts and tokens there are."""
        return f"{len(self):,} texts of {int(self.lengths().sum()):,} tokens"


def adapt(encoder: str, files: Sequence[str], out: Path, plan: Plan) -> None:
    """Train the encoder (a folder or hub id) to guess hidden tokens of `files`; write it to `out`.

    During the training `out` holds `trainer/`, from which the same call resumes after a kill.
    Raises InputError for bad input.
    """
    check_place(out / "encoder")
    original = load_encoder_files(encoder)
    logging.disable_progress_bar()
    set_seed(FIXED_SEED)
    model = MaskedLanguageModel(load_encoder(original.folder))
    masking = _masking(original, len(model.bias))
    length = longest_input(model.encoder, _LENGTH)
    held_out, train = _rows(original, files, plan, length)
    work = out / "trainer"
    identity = {
        "encoder": [sha256(file) for file in original.weights.files],
        "text": train.fingerprint(),
    }
    if reserve(work, identity | asdict(plan)):
        tell(f"{work}: resuming the unfinished run")
    tell(train.summary())
    try:
        with out_of_memory_is(
            RasdError(f"out of memory with --batch-size {plan.batch_size}", "Halve it.")
        ):
            _train(model, train, masking, plan, work)
            guessed = _guessed(model, held_out, masking, plan.batch_size)
    except DivergedError:
        # A run resumed from its checkpoints would diverge again.
        discard(work)
        raise
    report = f"hidden tokens guessed right, of {len(held_out):,} texts left out: {guessed:.1%}"
    with atomic_folder(out / "encoder") as folder:
        original.save_trained(model.encoder, folder)
        write_card(folder, original, _card(original, train, plan), report)
    discard(work)
    sys.stdout.write(f"{report}\n{out / 'encoder'}\n")


def _card(original: EncoderFiles, train: Rows, plan: Plan) -> str:
    times = "once" if plan.epochs == 1 else f"{plan.epochs:,} times"
    return f"""\
# {original.name}, adapted
Made by `rasd adapt` from `{original.name}`: it read {train.summary()} {times}, after the
normaliser `{plan.normalizer}`, and learned to guess hidden tokens. The tokenizer is unchanged.
"""


def _masking(original: EncoderFiles, size: int) -> Masking:
    """Return the masking of an encoder with `size` tokens; raise InputError if it cannot be."""
    mask, padding = original.tokenizer.mask_token_id, original.tokenizer.pad_token_id
    if mask is None or padding is None:
        raise InputError(
            f"encoder: {original.name} has no {'mask' if mask is None else 'padding'} token",
            "rasd adapt needs an encoder with one, such as BERT or XLM-R.",
        )
    special = original.tokenizer.all_special_ids
    return Masking(padding=padding, mask=mask, special=special, size=size)


def _rows(
    original: EncoderFiles, files: Sequence[str], plan: Plan, length: int
) -> tuple[Rows, Rows]:
    """Return the held-out texts and the others, in random order; see `_tokens`."""
    ids = [row for chunk in _tokens(original, files, plan, length) for row in chunk]
    if len(ids) <= _HELD_OUT:
        raise InputError(
            f"{', '.join(files)}: {counted(len(ids), 'text')} of at least {_SHORTEST} tokens",
            f"rasd adapt needs more than {_HELD_OUT:,}, and pays from many thousands on.",
        )
    order = np.random.default_rng(FIXED_SEED).permutation(len(ids))
    ids = [ids[row] for row in order]
    starts = np.cumsum([0, *map(len, ids)])
    flat = np.concatenate(ids)
    return Rows(flat, starts[: _HELD_OUT + 1]), Rows(flat, starts[_HELD_OUT:])


def _tokens(
    original: EncoderFiles, files: Sequence[str], plan: Plan, length: int
) -> Iterator[list[IntArray]]:
    """Yield the token ids of the texts, those of long ones in parts of `length`."""
    normalize = NORMALIZERS[plan.normalizer].apply
    tokenizer = Tokenizer.from_str(original.vocabulary.tokenizer.to_str())
    tokenizer.enable_truncation(length)
    shortest = _SHORTEST + tokenizer.num_special_tokens_to_add(is_pair=False)
    documents = DocumentStream(find_sources(files), ReadOptions("sentence", plan.text_field))
    with SentenceProgress(documents.size, visible=sys.stderr.isatty()) as progress:
        stream = iter(documents)
        while chunk := list(islice(stream, _CHUNK)):
            texts = [text for item in chunk if (text := normalize(item.text))]
            yield [
                np.array(part.ids, np.int32)
                for item in tokenizer.encode_batch_fast(texts)
                for part in (item, *item.overflowing)
                if len(part) >= shortest
            ]
            progress.update(len(chunk), documents.position)
    tell_notes(documents.notes)


class _Trainer(Trainer):
    """The Trainer with batches of texts of similar length."""

    def training_step(self, *arguments: Any, **options: Any) -> torch.Tensor:
        """Compute a batch's gradients and loss; raise DivergedError if the loss is not finite."""
        loss: torch.Tensor = super().training_step(*arguments, **options)
        if not math.isfinite(loss.item()):
            raise DivergedError(
                f"the training diverged: the loss is {loss.item()} "
                f"at step {self.state.global_step + 1:,}",
                f"Lower --learning-rate ({self.args.learning_rate:g}).",
            )
        return loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        size = self.args.train_batch_size
        return LengthSampler(rows.lengths(), batch_size=size, seed=self.args.seed)


def _train(
    model: MaskedLanguageModel, rows: Rows, masking: Masking, plan: Plan, work: Path
) -> None:
    """Train `model` on `rows`; `work` holds the checkpoints, from which it resumes."""
    trainer = _Trainer(
        model,
        TrainingArguments(
            output_dir=str(work),
            num_train_epochs=plan.epochs,
            per_device_train_batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            warmup_steps=_WARMUP,
            weight_decay=0.01,
            bf16=use_bf16("auto"),
            seed=FIXED_SEED,
            save_strategy="no",  # `Checkpoints` decides
            logging_nan_inf_filter=False,  # it would hide a loss that diverges
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=not sys.stderr.isatty(),
            dataloader_num_workers=_WORKERS if torch.cuda.is_available() else 0,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=torch.cuda.is_available(),
        ),
        train_dataset=rows,
        data_collator=masking,
        callbacks=[Checkpoints(_SAVE_STEPS, WeightAverage(0.0))],
    )
    show_progress(trainer)
    checkpoint = newest_checkpoint(work)
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))


def _guessed(model: torch.nn.Module, rows: Rows, masking: Masking, size: int) -> float:
    """Return the share of the hidden tokens of `rows` that are guessed right."""
    torch.manual_seed(FIXED_SEED)
    device = next(model.parameters()).device
    right = total = 0
    model.eval()
    for first in range(0, len(rows), size):
        batch = masking([rows[row] for row in range(first, min(first + size, len(rows)))])
        with torch.inference_mode():
            output = model(**{name: tensor.to(device) for name, tensor in batch.items()})
        right += int((output["guesses"] == output["tokens"]).sum())
        total += len(output["tokens"])
    return right / total
