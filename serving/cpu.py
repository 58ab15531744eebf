"""How many cores this process may use, and which instructions they have."""

import math
import os
from pathlib import Path

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
