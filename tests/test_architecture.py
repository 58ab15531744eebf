"""The rules that keep the rooms apart and the command quick."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"torch", "transformers", "datasets", "sklearn", "matplotlib", "training"}
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "onnxruntime",
    "numpy",
    "pydantic",
    "rich",
    "litserve",
    "fastapi",
}


def imported(path: Path) -> set[str]:
    """The top-level packages that a module names in any import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "serving").rglob("*.py")), ids=lambda p: p.stem)
def test_serving_never_imports_what_only_training_needs(path):
    assert not imported(path) & FORBIDDEN


def test_classifying_loads_nothing_that_only_training_needs():
    # The training room's command module is loaded to register its commands; its work is not.
    script = (
        "import sys; from serving.cli import main; "
        "main(['classify', 'data/sample_article.txt', '--format', 'jsonl']); "
        f"print(sorted({FORBIDDEN - {'training'}!r} & set(sys.modules)), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stderr.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *([command, "--help"] for command in ("train", "trim", "classify", "serve", "models")),
    ],
)
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys, contextlib\n"
        "from serving.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({arguments!r})\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stderr.strip() == "[]"
    assert "usage: rasd" in run.stdout


def test_no_third_party_text_folder_is_tracked():
    tracked = subprocess.run(
        ["git", "ls-files", "data/private"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert tracked.stdout == ""


def test_onnx_runtime_keeps_no_record_of_its_use(tmp_path):
    # With telemetry on it makes itself a device id and a database of events in the user's cache.
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run(
        [Path(sys.executable).with_name("rasd"), "classify", "data/sample_article.txt"],
        cwd=ROOT,
        env=environment | {"HOME": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert not list(tmp_path.rglob("*onnxruntime*"))
