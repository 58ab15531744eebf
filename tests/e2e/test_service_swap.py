"""The service follows its registry: no request fails or mixes two models while it changes."""

import json
import shutil
import threading

import httpx
import pytest
from running_service import RunningService, wait_for

from serving.bundle import MANIFEST, shipped_model

SENTENCES = ["نفت الوزارة وقوع الهجوم.", "وتبنت الجماعة الهجوم على الثكنة.", "وأدان الوزير ذلك."]


def add_version(registry, name):
    """Add the model that ships under another version."""
    folder = shutil.copytree(shipped_model(), registry / "versions" / name)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | {"version": name}), encoding="utf-8")
    return folder


def point(registry, name):
    new = registry / "current.new"
    new.write_text(f"{name}\n", encoding="utf-8")
    new.replace(registry / "current")


@pytest.fixture
def registry(tmp_path):
    folder = tmp_path / "registry"
    add_version(folder, "one")
    add_version(folder, "two")
    point(folder, "one")
    return folder


def running(tmp_path, registry):
    return RunningService(
        tmp_path / "service", "--threads", "1", "--workers", "2", "--registry", registry
    )


def test_a_new_version_takes_over_between_requests(tmp_path, registry):
    with running(tmp_path, registry) as service:
        assert service.client.get("/v1/model").json()["version"] == "one"
        old_workers = service.workers
        answers, stop = [], threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=service.url, timeout=60) as client:
                while not stop.is_set():
                    answers.append(client.post("/v1/classify", json={"sentences": SENTENCES}))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: answers)
        point(registry, "two")
        wait_for(lambda: service.client.get("/v1/model").json()["version"] == "two")
        wait_for(lambda: answers[-1].headers["x-model"] == "default@two")
        stop.set()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} == {200}
        for answer in answers:
            body = answer.json()
            models = {body["model"], *(record["model"] for record in body["sentences"])}
            assert models == {answer.headers["x-model"]}
        assert {answer.headers["x-model"] for answer in answers} == {"default@one", "default@two"}
        assert service.ready
        wait_for(lambda: len(service.workers) == 2)
        assert not set(service.workers) & set(old_workers)


def corrupt(folder):
    model = folder / "model.onnx"
    raw = bytearray(model.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.write_bytes(raw)


def misscore(folder):
    """A bundle whose files are whole and whose golden scores are not its own."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["golden_predictions"][0]["probabilities"].reverse()
    path.write_text(json.dumps(manifest), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(corrupt, "damaged"), (misscore, "the bundle expects"), (shutil.rmtree, "names no version")],
)
def test_a_broken_version_is_refused_and_the_old_one_goes_on(tmp_path, registry, spoil, reason):
    spoil(registry / "versions" / "two")
    with running(tmp_path, registry) as service:
        point(registry, "two")
        wait_for(lambda: service.metric('rasd_swaps_total{outcome="refused"}') == 1)
        (entry,) = service.logged(logger="rasd.registry")
        assert "refused" in entry["message"]
        assert reason in entry["reason"]
        answer = service.client.post("/predict", json={"inputs": SENTENCES})
        assert answer.status_code == 200
        assert answer.headers["x-model"] == "default@one"
        assert service.ready
        # Once it is mended, it is taken.
        shutil.rmtree(registry / "versions" / "two", ignore_errors=True)
        add_version(registry, "two")
        wait_for(lambda: service.client.get("/v1/model").json()["version"] == "two")


def test_a_registry_without_a_current_version_is_refused(tmp_path, rasd):
    (tmp_path / "registry").mkdir()
    refused = rasd("serve", "--registry", "registry")
    assert refused.returncode == 2
    assert "current" in refused.stderr
