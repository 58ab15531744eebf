"""This machine: its cores, its instructions, and whether its scores match another's bit for bit."""

import math
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

# The flags that change what int8 arithmetic costs or gives.
RELEVANT_FLAGS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "asimddp",
    "i8mm",
)


def available_cores() -> int:
    """Return the cores of the container's quota (cgroup v2) or of the affinity mask, at least 1.

    ONNX Runtime's own default is the host's core count, which starves a limited container.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores or 1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        return cores or 1


def cpu_flags() -> list[str]:
    """Return those of RELEVANT_FLAGS that this processor has; empty where they cannot be read."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return []
    return [flag for flag in RELEVANT_FLAGS if flag in words]


class Arithmetic(BaseModel):
    """Where the same bundle gives the same sentence the same probabilities, bit for bit.

    `cpu_flags` are those of `RELEVANT_FLAGS`; int8 and exponentials are computed
    otherwise by other instructions and by other versions of the libraries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_flags: tuple[str, ...]
    onnxruntime: str
    numpy: str

    @classmethod
    def here(cls) -> "Arithmetic":
        """Return that of this process."""
        import numpy as np
        import onnxruntime

        return cls(
            cpu_flags=tuple(cpu_flags()),
            onnxruntime=onnxruntime.__version__,
            numpy=np.__version__,
        )

    def same_as(self, other: "Arithmetic | None") -> bool:
        """Tell whether bits can be compared; never where the processor's flags are unknown."""
        return self == other and bool(self.cpu_flags)
