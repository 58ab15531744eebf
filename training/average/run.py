"""The mean of the weights of several checkpoints (a "model soup").

Wortsman et al. 2022, "Model soups": runs that start from the same weights, head included, end so
near to one another that the mean of their weights is often better than the best of them. It costs
no more to run. All checkpoints have the same weight.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoTokenizer

from serving.atomic import atomic_folder, check_place
from serving.bundle import sha256
from serving.errors import InputError
from serving.text.normalize import NORMALIZERS
from training.environment import environment
from training.labelled.reading import read_labelled
from training.model.checkpoint import (
    HELD_OUT,
    SETTINGS,
    WEIGHTS,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)


def average(folders: Sequence[Path], out: Path, *, command: Sequence[str]) -> Path:
    """Write the mean of the checkpoints in `folders` to `out` and return it.

    Raises InputError if they differ in kind or in their held-out sentences: one could have been
    trained on the sentences that another is measured on.
    """
    check_place(out, sign=SETTINGS)
    if out.resolve() in [folder.resolve() for folder in folders]:
        raise InputError(
            f"{out}: is one of the checkpoints to average, and would be overwritten",
            "Name a new folder with --out.",
        )
    checkpoints = [load_checkpoint(folder) for folder in folders]
    if len(checkpoints) < 2:
        raise InputError(f"{folders[0]}: only one checkpoint", "Name two or more.")
    first = checkpoints[0]
    for other in checkpoints[1:]:
        _check_alike(first, other)
    weights = [checkpoint.model.state_dict() for checkpoint in checkpoints]
    first.model.load_state_dict({name: _mean([w[name] for w in weights]) for name in weights[0]})
    settings = first.settings
    parts = (
        one.settings.provenance.model_copy(update={"weights": sha256(one.folder / WEIGHTS)})
        for one in checkpoints
    )
    provenance = settings.provenance.model_copy(
        update={
            "command": shlex.join(command),
            "averaged": tuple(parts),
            "environment": environment(),
        }
    )
    kept = f"the mean of {len(provenance.runs())} training runs"
    provenance = provenance.model_copy(update={"kept": kept})
    held_out = read_labelled(
        [first.folder / HELD_OUT], settings.scheme, NORMALIZERS[settings.normalizer].apply
    )
    with atomic_folder(out) as folder:
        save_checkpoint(
            folder,
            first.model,
            settings.model_copy(update={"provenance": provenance}),
            tokenizer=AutoTokenizer.from_pretrained(first.folder),
            held_out=held_out.sentences,
            sample=first.sample,
        )
    sys.stderr.write(f"averaged {len(checkpoints)} checkpoints; `rasd export` measures the mean\n")
    return out


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0) if values[0].is_floating_point() else values[0]


def _check_alike(first: Checkpoint, other: Checkpoint) -> None:
    """Raise InputError if two checkpoints cannot be averaged, with the first difference."""
    for what in ("scheme", "normalizer", "max_length"):
        if getattr(first.settings, what) != getattr(other.settings, what):
            raise _different(first, other, f"another {what}")
    different = (("tokenizer.json", "another tokenizer"), (HELD_OUT, "other held-out sentences"))
    for file, what in different:
        if (first.folder / file).read_bytes() != (other.folder / file).read_bytes():
            raise _different(first, other, what)
    one, two = first.model.state_dict(), other.model.state_dict()
    if {name: w.shape for name, w in one.items()} != {name: w.shape for name, w in two.items()}:
        raise _different(first, other, "weights of another shape")


def _different(first: Checkpoint, other: Checkpoint, what: str) -> InputError:
    return InputError(
        f"{other.folder}: {what} than {first.folder}",
        "Average runs of one configuration; they may differ in seed, rates or further text.",
    )
