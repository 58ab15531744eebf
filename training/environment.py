"""Where a figure was measured: the machine, its instructions and the versions of the libraries."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from serving.machine import available_cores, cpu_flags

PACKAGES = ("rasd", "numpy", "onnxruntime", "tokenizers", "torch", "transformers", "datasets")


def environment() -> dict[str, Any]:
    """Return what can change a figure, ready for JSON.

    A package that is not installed has no version; none is imported to ask.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": available_cores(),
        "cpu_flags": cpu_flags(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
