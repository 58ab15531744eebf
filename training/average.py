"""`rasd average`: one checkpoint whose weights are the mean of several.

Wortsman et al. 2022, "Model soups": trainings that start from the same weights, head included,
end near enough to one another that the mean of their weights is often better than the best of
them, and costs no more to run. Here all of them count alike.
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
    trainings,
)


def average(folders: Sequence[Path], out: Path, *, command: Sequence[str]) -> Path:
    """Write the mean of the checkpoints in `folders` to `out` and return it.

    Raises InputError when they are not of one kind, or were not held to the same sentences: what
    one of them is measured on, another may have learned.
    """
    check_place(out, sign=SETTINGS)
    if out.resolve() in [folder.resolve() for folder in folders]:
        raise InputError(
            f"{out}: is one of the checkpoints to average, and would be replaced",
            "Name a new folder with --out.",
        )
    checkpoints = [load_checkpoint(folder) for folder in folders]
    if len(checkpoints) < 2:
        raise InputError(f"{folders[0]}: one checkpoint is its own mean", "Name two or more.")
    first = checkpoints[0]
    for other in checkpoints[1:]:
        _check_alike(first, other)
    weights = [checkpoint.model.state_dict() for checkpoint in checkpoints]
    first.model.load_state_dict({name: _mean([w[name] for w in weights]) for name in weights[0]})
    settings = first.settings
    provenance = settings.provenance | {
        "command": shlex.join(command),
        "averaged": [
            checkpoint.settings.provenance | {"weights": sha256(checkpoint.folder / WEIGHTS)}
            for checkpoint in checkpoints
        ],
        "environment": environment(),
    }
    provenance["kept"] = f"the mean of {len(trainings(provenance))} trainings"
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
    sys.stderr.write(f"the mean of {len(checkpoints)} checkpoints; `rasd export` measures it\n")
    return out


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(0) if values[0].is_floating_point() else values[0]


def _check_alike(first: Checkpoint, other: Checkpoint) -> None:
    """Raise InputError for the first thing in which two checkpoints must not differ, but do."""
    for what in ("scheme", "normalizer", "max_length", "pooling"):
        if getattr(first.settings, what) != getattr(other.settings, what):
            raise _different(first, other, f"another {what}")
    for file, what in (("tokenizer.json", "another tokenizer"), (HELD_OUT, "held out others")):
        if (first.folder / file).read_bytes() != (other.folder / file).read_bytes():
            raise _different(first, other, what)
    one, two = first.model.state_dict(), other.model.state_dict()
    if {name: w.shape for name, w in one.items()} != {name: w.shape for name, w in two.items()}:
        raise _different(first, other, "weights of another shape")


def _different(first: Checkpoint, other: Checkpoint, what: str) -> InputError:
    return InputError(
        f"{other.folder}: {what} than {first.folder}",
        "Average trainings of one configuration, which differ in seed, rates or further text.",
    )
