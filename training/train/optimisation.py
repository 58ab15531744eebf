"""How the weights move: learning rates by depth, and the mean of the last steps."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.config import OptimisationConfig

# Weights are averaged over the last steps, one step in this many.
_AVERAGE_EVERY = 10
_AVERAGE = "average.safetensors"


def parameter_groups(model: nn.Module, step: OptimisationConfig) -> list[dict[str, Any]]:
    """Return optimiser groups with a learning rate for each depth of the model.

    The head learns `head_learning_rate_factor` times as fast as the encoder's top layer; each
    layer below learns `layer_decay` times as fast as the one above it, the embeddings slowest
    (Howard and Ruder 2018, "discriminative fine-tuning"). Vectors (biases, normalisation) are not
    decayed.
    """
    depths = {name: _depth(name) for name, _ in model.named_parameters()}
    top = max(depth for depth in depths.values() if depth is not None)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        depth = depths[name]
        factor = (
            step.head_learning_rate_factor if depth is None else step.layer_decay ** (top - depth)
        )
        decay = step.weight_decay if parameter.dim() > 1 else 0.0
        groups.setdefault((step.learning_rate * factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _depth(name: str) -> int | None:
    """Return a parameter's layer, 0 for the embeddings, None for what stands on the encoder."""
    if not name.startswith("encoder."):
        return None
    layer = re.search(r"\.layers?\.(\d+)\.", name)
    return int(layer.group(1)) + 1 if layer else 0


class WeightAverage(TrainerCallback):
    """The running mean of the weights of the last steps (Izmailov et al. 2018)."""

    def __init__(self, share: float) -> None:
        """Average over the last `share` (0 to 1) of the steps; 0 never averages."""
        self.weights: dict[str, Tensor] | None = None
        self._share = share
        self._count = 0

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  the Trainer passes it by name
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        model: nn.Module,
        **_: Any,
    ) -> None:
        """Take the step's weights into the mean."""
        first = int(state.max_steps * (1 - self._share))
        if state.global_step <= first or state.global_step % _AVERAGE_EVERY:
            return
        self._count += 1
        current = model.state_dict()
        if self.weights is None:
            self.weights = {name: value.clone() for name, value in current.items()}
            return
        for name, value in current.items():
            if value.is_floating_point():
                self.weights[name] += (value - self.weights[name]) / self._count

    def save(self, checkpoint: Path) -> None:
        """Write the mean so far, if there is one, into a checkpoint's folder."""
        if self.weights is not None:
            save_file(self.weights, checkpoint / _AVERAGE, metadata={"count": str(self._count)})

    def restore(self, checkpoint: Path, device: torch.device) -> None:
        """Take up the mean that `save` wrote, if there was one."""
        if not (checkpoint / _AVERAGE).is_file():
            return
        with safe_open(checkpoint / _AVERAGE, framework="pt", device=str(device)) as file:
            self._count = int(file.metadata()["count"])
            self.weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
