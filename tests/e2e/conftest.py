"""The real command, as a shell would start it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RASD = Path(sys.executable).with_name("rasd")


@pytest.fixture
def rasd(tmp_path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run `rasd` with these arguments in the test's own folder and wait for its end."""

    def run(*arguments: object, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [RASD, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            cwd=tmp_path,
            check=False,
        )

    return run
