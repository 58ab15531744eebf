"""The real command, as a shell would start it; a real service and a real browser."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from running_service import RunningService

RASD = Path(sys.executable).with_name("rasd")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[RunningService]:
    with RunningService(tmp_path_factory.mktemp("service")) as running:
        yield running
