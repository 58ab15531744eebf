"""What commonly goes wrong while weights move, told in two lines: memory and divergence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from serving.errors import RasdError
from training.config import TrainConfig

# The words of CUDA's allocator, of PyTorch's CPU allocator and of oneDNN.
_OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory", re.IGNORECASE)


class DivergedError(RasdError):
    """The loss or the logits are no longer numbers."""


@contextmanager
def memory_errors_explained(config: TrainConfig) -> Iterator[None]:
    """Turn the many errors of too little memory into one that names the keys to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _OUT_OF_MEMORY.search(str(error)):
            raise
        step = config.optimisation
        thrifty = "" if step.gradient_checkpointing else " or set gradient_checkpointing: true"
        raise RasdError(
            f"out of memory with optimisation.batch_size {step.batch_size} "
            f"and max_length {config.max_length}\n"
            f"Halve batch_size and double gradient_accumulation ({step.gradient_accumulation}), "
            f"which learns the same, lower max_length{thrifty}."
        ) from error


def diverged(what: str, config: TrainConfig) -> DivergedError:
    """Return the error for a training whose numbers have run away; `what` says where."""
    step = config.optimisation
    return DivergedError(
        f"the training diverged: {what}\n"
        f"Lower optimisation.learning_rate ({step.learning_rate:g}), raise warmup_ratio "
        f"({step.warmup_ratio:g}), or use precision: fp32."
    )
