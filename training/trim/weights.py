"""The weights of a checkpoint that have a row a word piece, and the same with fewer rows."""

import copy
from collections.abc import Iterator, Mapping, Sequence
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
    """The safetensors files of an encoder; `axes` names what follows the vocabulary, and where."""

    files: Sequence[Path]
    axes: Mapping[str, int]

    def parameters(self) -> int:
        """Return how many numbers the files hold."""
        return sum(prod(tensors.get_slice(name).get_shape()) for name, tensors in _all(self.files))

    def save_cut(self, kept: Sequence[int], path: Path) -> None:
        """Write every tensor in its own precision, of the vocabulary's only the rows `kept`."""
        rows = torch.tensor(kept)
        cut: dict[str, torch.Tensor] = {}
        for name, tensors in _all(self.files):
            tensor = tensors.get_tensor(name)
            cut[name] = tensor.index_select(self.axes[name], rows) if name in self.axes else tensor
        save_file(cut, path, {"format": "pt"})


def find_weights(folder: Path, config: PretrainedConfig, *, pieces: int) -> Weights:
    """Find what must be cut in the encoder in `folder`, whose tokenizer has ids under `pieces`.

    Raises InputError when there are no whole safetensors, or no embeddings for all pieces.
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
            f"encoder: {folder}: not whole safetensors files ({error})", "Copy them again."
        ) from error
    size: int = getattr(config, "vocab_size", 0)
    if not rows or set(rows.values()) != {size} or pieces > size:
        found = ", ".join(f"{name} has {count:,}" for name, count in sorted(rows.items()))
        raise InputError(
            f"encoder: {folder}: config.json says {size:,} word pieces, tokenizer.json has "
            f"{pieces:,}, of the weights {found or 'none has a row a piece'}",
            "Name an encoder whose configuration, tokenizer and input embeddings belong together.",
        )
    return Weights(files, {name: axes[name] for name in rows})


def _all(files: Sequence[Path]) -> Iterator[tuple[str, Any]]:
    """Yield the name of every tensor with the open file that holds it."""
    for file in files:
        with safe_open(file, "pt") as tensors:
            for name in list(tensors.keys()):
                yield name, tensors


def _vocabulary_axes(config: PretrainedConfig) -> dict[str, int]:
    """Return the weights that grow with the vocabulary, by name, each with the axis that does.

    The architecture tells: it is built twice, without memory, the second time for one piece more.
    Names are those of the encoder alone and of the encoder with its pretraining heads.
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
