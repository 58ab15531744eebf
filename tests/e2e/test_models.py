"""`rasd models` as a shell runs it, and a service that follows what it does."""

import json
import subprocess
import sys
import threading

import httpx
import pytest
from bundles import copy_of_fast, endless_graph, put_graph
from running_service import RunningService, wait_for

from serving.bundle import shipped_model
from serving.trial import try_bundle

SENTENCES = ["نفت الوزارة وقوع الهجوم.", "وتبنت الجماعة الهجوم على الثكنة."]


@pytest.fixture
def models(rasd):
    """Run `rasd models` on the registry of the test, which must succeed unless a code is given."""

    def run(*arguments, code=0):
        done = rasd("models", arguments[0], "--registry", "registry", *arguments[1:])
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


def test_a_service_follows_promote_and_rollback_without_a_failed_request(tmp_path, models):
    models("add", "fast", "--name", "old")
    copy_of_fast(tmp_path / "bundle", version="new")
    models("add", tmp_path / "bundle", "--name", "new")
    models("promote", "old", "--reason", "the first")
    with RunningService(
        tmp_path / "service",
        *("--threads", "1", "--workers", "1", "--registry", tmp_path / "registry"),
    ) as service:
        first = service.client.get("/v1/model").json()["model"]
        answers, stop = [], threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=service.url, timeout=60) as client:
                while not stop.is_set():
                    answers.append(client.post("/v1/classify", json={"sentences": SENTENCES}))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            models("promote", "new", "--reason", "better on denials")
            wait_for(lambda: answers and answers[-1].headers["x-model"] == "fast@new")
            models("rollback", "--reason", "worse on claims")
            wait_for(lambda: answers[-1].headers["x-model"] == first)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.headers["x-model"] for answer in answers} == {first, "fast@new"}
        for answer in answers:
            assert answer.json()["model"] == answer.headers["x-model"]
    log = (tmp_path / "registry" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    changes = [(e["action"], e["version"], e.get("reason")) for e in map(json.loads, log)]
    assert changes[2:] == [
        ("promote", "old", "the first"),
        ("promote", "new", "better on denials"),
        ("rollback", "old", "worse on claims"),
    ]
    assert "2 versions are whole; current: old." in models("verify")


def test_of_two_promotions_at_once_one_wins_and_the_other_says_so(tmp_path, models):
    models("add", "fast", "--name", "one")
    models("add", "fast", "--name", "two")
    # The first is in the middle of its promotion: it tries the version until its input ends.
    script = (
        "import sys; from pathlib import Path; from serving.registry.store import Registry\n"
        "check = lambda folder: (print('trying', flush=True), sys.stdin.read())\n"
        "Registry(Path('registry'), check=check).promote('one')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout.readline() == b"trying\n"
        refused = models("promote", "two", code=1)
        assert f"process {first.pid}" in refused
        assert refused.count("\n") == 2
        first.stdin.close()
        assert first.wait() == 0
    assert (tmp_path / "registry" / "current").read_text() == "one\n"


def test_a_version_is_listed_shown_exported_and_imported(tmp_path, models):
    models("add", "fast", "--reason", "half the time")
    name = next((tmp_path / "registry" / "versions").iterdir()).name
    models("promote", name)
    head, row = models("list").splitlines()
    assert head.split() == ["version", "model", "macro-F1", "added"]
    assert row.split()[:2] == ["*", name]
    shown = models("show")
    assert "half the time" in shown
    assert "current:   yes" in shown
    models("export", name, "--out", "hub")
    models("import", "hub", "--name", "back")
    assert "removed: back" not in models("prune", "--keep", "1")
    for path in sorted(shipped_model("fast").iterdir()):
        assert (tmp_path / "hub" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("promote", "quik"), "Did you mean quick?"),
        (("promote", "../quick"), "no version"),
        (("show", "٣"), "no version"),
        (("rollback",), "no earlier version"),
        (("add", "fast", "--name", "a b"), "cannot be a version's name"),
        (("add", "fast", "--name", "quick"), "there already"),
        (("add", "nothing"), "no such model folder"),
        (("add", "fast", "--name", "new", "--record", "nothing"), "no such folder"),
        (("promote", "quick", "--reason", "two\nlines"), "one line"),
        (("prune", "--keep", "0"), "above 0"),
        (("export", "quick", "--out", "registry"), "something else"),
    ],
)
def test_a_wrong_command_is_two_lines_and_changes_nothing(tmp_path, models, arguments, words):
    folder = tmp_path / "registry" / "versions" / "quick"
    copy_of_fast(folder)
    refused = models(*arguments, code=2)
    assert words in refused
    assert refused.count("\n") == 2
    assert sorted(p.name for p in (tmp_path / "registry" / "versions").iterdir()) == ["quick"]
    assert not (tmp_path / "registry" / "current").exists()


def test_a_damaged_version_is_found_by_verify_and_not_promoted(tmp_path, models):
    models("add", "fast", "--name", "one")
    model = tmp_path / "registry" / "versions" / "one" / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    assert "model.onnx: damaged" in models("verify", code=2)
    assert "model.onnx: damaged" in models("promote", "one", code=2)
    assert not (tmp_path / "registry" / "current").exists()


def test_a_graph_that_never_ends_or_dies_is_tried_no_longer_than_its_deadline(tmp_path):
    folder = copy_of_fast(tmp_path / "bundle")
    put_graph(folder, endless_graph)
    # In a process of its own, so that the test ends even if the trial does not.
    script = (
        "from pathlib import Path\nfrom serving.trial import try_bundle\n"
        "if __name__ == '__main__':\n    try_bundle(Path('bundle'), seconds=3)"
    )
    (tmp_path / "trial.py").write_text(script, encoding="utf-8")
    refused = subprocess.run(
        [sys.executable, "trial.py"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert "was not loaded and tried in 3 seconds" in refused.stderr
    try_bundle(shipped_model("fast"))
