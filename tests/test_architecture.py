"""The rules that keep the rooms apart and the command quick."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
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


PACKAGES = ("serving", "training")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TOP_OF_TRAINING = {"__init__", "arrays", "commands", "config", "environment"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> set[str]:
    """The dotted names that a file imports, wherever in it, also in functions."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            assert node.module
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # `from package import module` is an import of the module, not of the package.
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found


GRAPH = {name: imports(path) & MODULES.keys() - {name} for name, path in MODULES.items()}


def place(module: str) -> str:
    """The folder of a module; one at the top of a package stands for itself."""
    path = MODULES[module]
    folder = path.parent.relative_to(ROOT)
    return module if folder.as_posix() in PACKAGES else ".".join(folder.parts[:2])


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle in the graph, as the names along it; [] if there is none."""
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_between_files(package):
    assert not circle({name: used for name, used in GRAPH.items() if name.startswith(package)})


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_between_folders(package):
    folders: dict[str, set[str]] = {}
    for name, used in GRAPH.items():
        if name.startswith(package):
            folders.setdefault(place(name), set()).update(map(place, used))
    assert not circle({name: used - {name} for name, used in folders.items()})


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_nothing_is_imported_by_string(path):
    names = {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.Name, ast.Attribute))
    }
    assert not names & {"import_module", "__import__"}


@pytest.mark.parametrize("path", [f for f in FILES if f.is_relative_to(ROOT / "serving")], ids=str)
def test_serving_never_imports_what_only_training_needs(path):
    assert not {name.partition(".")[0] for name in imports(path)} & FORBIDDEN


def test_the_top_of_training_holds_only_what_every_verb_shares():
    assert {path.stem for path in (ROOT / "training").glob("*.py")} <= TOP_OF_TRAINING


@pytest.mark.parametrize(
    "folder", sorted(p.parent for p in FILES if p.name == "__init__.py"), ids=module_name
)
def test_a_folder_says_what_lives_there_and_what_may_import_it(folder):
    docstring = ast.get_docstring(tree_of(folder / "__init__.py")) or ""
    assert docstring
    assert folder.name in PACKAGES or "mport" in docstring


def test_the_tree_in_contributing_is_that_of_the_code():
    script = [sys.executable, "scripts/tree.py"]
    run = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "(no docstring)" not in run.stdout
    assert run.stdout in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), (
        "run: python scripts/tree.py --write"
    )


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


def test_no_benchmark_hides_a_package_of_the_same_name():
    """`python benchmarks/FILE.py` finds its neighbours before installed packages."""
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert not names & packages_distributions().keys()


def test_the_paths_in_the_tests_that_benchmarks_read_are_there():
    for path in (ROOT / "benchmarks").glob("*.py"):
        for parts in re.findall(r'ROOT / "tests"((?: / "\w+")+)', path.read_text(encoding="utf-8")):
            assert ROOT.joinpath("tests", *re.findall(r"\w+", parts)).exists()
