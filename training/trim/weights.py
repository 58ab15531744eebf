"""The weights that have one row per token, and the same weights with fewer or other rows."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    PretrainedConfig,
)

from serving.errors import InputError


@dataclass(frozen=True, slots=True)
class Weights:
    """The safetensors files of an encoder; `axes` maps tensors to their vocabulary axis."""

    files: Sequence[Path]
    axes: Mapping[str, int]

    def parameters(self) -> int:
        """Return the number of parameters in the files."""
        return sum(prod(tensors.get_slice(name).get_shape()) for name, tensors in _all(self.files))

    def save_cut(self, kept: Sequence[int], path: Path) -> None:
        """Write every tensor in its own precision, with only the rows `kept` of the vocabulary."""
        rows = torch.tensor(kept)
        self._save(lambda tensor, axis: tensor.index_select(axis, rows), path)

    def save_means(self, rows: Sequence[Sequence[int]], path: Path) -> None:
        """Write every tensor in its own precision; a row of the vocabulary is a mean of old ones.

        `rows` has the numbers of the old ones for each new row.
        """
        flat = torch.tensor([number for group in rows for number in group])
        sizes = torch.tensor([len(group) for group in rows])
        groups = torch.arange(len(rows)).repeat_interleave(sizes)

        def means(tensor: torch.Tensor, axis: int) -> torch.Tensor:
            old = tensor.float().movedim(axis, 0)
            total = torch.zeros(len(rows), *old.shape[1:]).index_add_(0, groups, old[flat])
            mean = total / sizes.view(-1, *[1] * (old.ndim - 1))
            return mean.movedim(0, axis).to(tensor.dtype).contiguous()

        self._save(means, path)

    def _save(self, change: Callable[[torch.Tensor, int], torch.Tensor], path: Path) -> None:
        changed: dict[str, torch.Tensor] = {}
        for name, tensors in _all(self.files):
            tensor = tensors.get_tensor(name)
            axis = self.axes.get(name)
            changed[name] = tensor if axis is None else change(tensor, axis)
        save_file(changed, path, {"format": "pt"})


def find_weights(folder: Path, config: PretrainedConfig, *, pieces: int) -> Weights:
    """Find the tensors to cut in the encoder in `folder`, whose token ids are below `pieces`.

    Raises InputError without complete safetensors files or without embeddings for all tokens.
    """
    files = [*folder.glob("model.safetensors")] or sorted(folder.glob("model-*-of-*.safetensors"))
    if not files:
        raise InputError(
            f"encoder: {folder} holds no model.safetensors",
            "Load it with transformers and save it again with save_pretrained.",
        )
    axes = _vocabulary_axes(config)
    try:
        rows = {
            name: tensors.get_slice(name).get_shape()[axes[name]]
            for name, tensors in _all(files)
            if name in axes
        }
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"encoder: {folder}: incomplete safetensors files ({error})", "Copy them again."
        ) from error
    size: int = getattr(config, "vocab_size", 0)
    if not rows or set(rows.values()) != {size} or pieces > size:
        found = ", ".join(f"{name} has {count:,}" for name, count in sorted(rows.items()))
        raise InputError(
            f"encoder: {folder}: config.json has {size:,} tokens, tokenizer.json has {pieces:,}; "
            f"weights: {found or 'none has one row per token'}",
            "Name an encoder whose configuration, tokenizer and weights belong together.",
        )
    return Weights(files, {name: axes[name] for name in rows})


def _all(files: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """Yield the name of every tensor with its open file."""
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in list(tensors.keys()):
                yield name, tensors


def _vocabulary_axes(config: PretrainedConfig) -> dict[str, int]:
    """Return the names of the weights that grow with the vocabulary, each with its axis.

    The architecture is built twice without memory, the second time with one more token. Names are
    those of the encoder alone and of the encoder with its pretraining heads.
    """
    larger = copy.deepcopy(config)
    larger.vocab_size += 1
    axes: dict[str, int] = {}
    for architecture in (AutoModel, AutoModelForMaskedLM, AutoModelForPreTraining):
        with suppress(ValueError), torch.device("meta"):  # not every encoder has every head
            model = architecture.from_config(config)
            grown = architecture.from_config(larger).state_dict()
            for name, weight in model.state_dict().items():
                pairs = zip(weight.shape, grown[name].shape, strict=True)
                for axis, (before, after) in enumerate(pairs):
                    if before != after:
                        axes |= {name: axis, f"{model.base_model_prefix}.{name}": axis}
    return axes
