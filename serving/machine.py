"""This machine: cores, CPU instructions, and whether its scores equal another's bit for bit."""

import math
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict

# The CPU flags that change the speed or the results of int8 arithmetic.
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

    ONNX Runtime's default is the host's core count, too many for a limited container.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores or 1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or "max": no quota
        return cores or 1


def cpu_flags() -> list[str]:
    """Return the RELEVANT_FLAGS of this processor; empty if they cannot be read."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return []
    return [flag for flag in RELEVANT_FLAGS if flag in words]


class Arithmetic(BaseModel):
    """CPU flags and library versions; if equal, probabilities are equal bit for bit.

    Other instructions and versions round int8 products and exponentials differently.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_flags: tuple[str, ...]
    onnxruntime: str
    numpy: str

    @classmethod
    def here(cls) -> "Arithmetic":
        """Return the arithmetic of this process."""
        import numpy as np
        import onnxruntime

        return cls(
            cpu_flags=tuple(cpu_flags()),
            onnxruntime=onnxruntime.__version__,
            numpy=np.__version__,
        )

    def same_as(self, other: "Arithmetic | None") -> bool:
        """Tell whether results must be equal bit for bit; False if the CPU flags are unknown."""
        return self == other and bool(self.cpu_flags)
