"""The environment of a measurement: machine, CPU instructions and library versions."""

import platform
from importlib.metadata import PackageNotFoundError, version

from serving.machine import available_cores, cpu_flags
from serving.provenance import Environment

PACKAGES = ("rasd", "numpy", "onnxruntime", "tokenizers", "torch", "transformers", "datasets")


def environment() -> Environment:
    """Return what can change a metric; it imports none of the packages that it lists."""
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cores=available_cores(),
        cpu_flags=tuple(cpu_flags()),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
