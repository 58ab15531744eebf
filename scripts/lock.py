"""Write constraints.txt: the installed version of everything that rasd and its extras need.

    python scripts/lock.py

Run it where the tests have passed. PyTorch and what it brings are left out, so that pip may take
the build for a CPU or for a GPU; pyproject.toml gives their range.
"""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "constraints.txt"
FREE = {"rasd", "torch"}
HEAD = """\
# The versions that the tests passed with, for pip's option -c. `make lock` writes this file.
# PyTorch is left out: its build for a CPU or for a GPU is a choice of the machine.
"""


def pins() -> list[str]:
    """Return `name==version` of what is installed here and needed, sorted by name."""
    found: dict[str, str] = {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    for name in _needed(wanted, "", set()):
        version = Version(distribution(name).version)
        found[name] = f"{name}=={version.public}"
    return [found[name] for name in sorted(found)]


def _needed(lines: Iterable[str], extra: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """Yield the names of everything that these requirements bring on this machine."""
    for needed in map(Requirement, lines):
        name = canonicalize_name(needed.name)
        if name in FREE or (needed.marker and not needed.marker.evaluate({"extra": extra})):
            continue
        yield name
        for inner in {"", *needed.extras}:
            if (name, inner) not in seen:
                seen.add((name, inner))
                yield from _needed(distribution(name).requires or (), inner, seen)


if __name__ == "__main__":
    TARGET.write_text(HEAD + "".join(f"{pin}\n" for pin in pins()), encoding="utf-8")
