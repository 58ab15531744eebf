"""Benchmarks that need no model and little time are run as documented, on less."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_splitter_is_measured_on_the_golden_articles_of_the_tests():
    pytest.importorskip("pysbd")
    found = runpy.run_path(str(BENCHMARKS / "sentences.py"))
    assert len(list(found["ARTICLES"].glob("*.txt"))) > 10
    assert found["boundary_f1"](found["our_ends"]) > 0.95


def test_the_normaliser_of_arabert_is_found_though_a_benchmark_has_its_name():
    pytest.importorskip("arabert")
    script = "import normalize; normalize.sentences = lambda: ['نفت.']; normalize.main()"
    # As `python benchmarks/normalize.py` does: the folder of the script is first on the path.
    path = f"import sys; sys.path[0] = {str(BENCHMARKS)!r}; sys.argv[1:] = []; "
    done = subprocess.run(
        [sys.executable, "-c", path + script], capture_output=True, encoding="utf-8", check=False
    )
    assert "arabert 1.0.1 (original)" in done.stdout, done.stderr


@pytest.mark.parametrize("speed", ["a", "a=0", "a=b", "=3"])
def test_a_speed_that_is_none_is_refused_without_a_traceback(speed):
    script = BENCHMARKS / "sizing.py"
    refused = subprocess.run(
        [sys.executable, script, speed], capture_output=True, encoding="utf-8", check=False
    )
    assert refused.returncode == 2
    assert "NAME=SPEED" in refused.stderr
