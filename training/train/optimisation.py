"""The optimiser's parameter groups, and the running mean of the last weights."""

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.config import OptimisationConfig

# Of the last steps, every tenth enters the mean.
_AVERAGE_EVERY = 10
_AVERAGE = "average.safetensors"


def parameter_groups(model: nn.Module, settings: OptimisationConfig) -> list[dict[str, Any]]:
    """Return parameter groups for AdamW: encoder and head, with and without weight decay.

    The head's learning rate is `head_learning_rate_factor` times the encoder's. Vectors (biases,
    layer normalisation) have no weight decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        factor = 1.0 if name.startswith("encoder.") else settings.head_learning_rate_factor
        decay = settings.weight_decay if parameter.dim() > 1 else 0.0
        groups.setdefault((settings.learning_rate * factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


class WeightAverage(TrainerCallback):
    """The running mean of the weights of the last steps (Izmailov et al. 2018)."""

    def __init__(self, share: float) -> None:
        """Average over the last `share` (0 to 1) of the steps; 0 turns averaging off."""
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
        """Add the step's weights to the mean."""
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
        """Write the mean so far, if any, into a checkpoint's folder."""
        if self.weights is not None:
            save_file(self.weights, checkpoint / _AVERAGE, metadata={"count": str(self._count)})

    def restore(self, checkpoint: Path, device: torch.device) -> None:
        """Load the mean that `save` wrote, if any."""
        if not (checkpoint / _AVERAGE).is_file():
            return
        with safe_open(checkpoint / _AVERAGE, framework="pt", device=str(device)) as file:
            self._count = int(file.metadata()["count"])
            self.weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
