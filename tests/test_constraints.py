"""constraints.txt has a tested version for everything that pyproject.toml asks for."""

import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FREE = {"rasd", "torch"}  # scripts/lock.py says why


def test_every_dependency_is_pinned_to_a_version_that_it_allows():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    for needed in map(Requirement, wanted):
        name = canonicalize_name(needed.name)
        if name not in FREE:
            assert pins.get(name) in needed.specifier, f"{needed}: run `make lock`"
