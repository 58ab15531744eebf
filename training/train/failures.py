"""Common failures of a training run as two-line errors: out of memory, divergence."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from serving.errors import RasdError
from training.config import TrainConfig

# The messages of CUDA's allocator, of PyTorch's CPU allocator and of oneDNN.
_OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory", re.IGNORECASE)


class DivergedError(RasdError):
    """The loss or a logit is not finite."""


@contextmanager
def out_of_memory_is(failure: RasdError) -> Iterator[None]:
    """Raise `failure` in place of every out-of-memory error."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _OUT_OF_MEMORY.search(str(error)):
            raise
        raise failure from error


def memory_errors_explained(config: TrainConfig) -> AbstractContextManager[None]:
    """Turn every out-of-memory error into one that names the keys to change."""
    used = config.optimisation
    thrifty = "" if used.gradient_checkpointing else " or set gradient_checkpointing: true"
    return out_of_memory_is(
        RasdError(
            f"out of memory with optimisation.batch_size {used.batch_size} "
            f"and max_length {config.max_length}",
            f"Halve batch_size and double gradient_accumulation ({used.gradient_accumulation}) "
            f"for the same result, lower max_length{thrifty}.",
        )
    )


def diverged(what: str, config: TrainConfig) -> DivergedError:
    """Return the error for a run that diverged; `what` says where."""
    used = config.optimisation
    return DivergedError(
        f"the training diverged: {what}",
        f"Lower optimisation.learning_rate ({used.learning_rate:g}), raise warmup_ratio "
        f"({used.warmup_ratio:g}), or use precision: fp32.",
    )
