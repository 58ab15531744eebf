"""A service outlives whatever its registry holds, says so, and takes the next good version."""

import json
import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from bundles import (
    change_manifest,
    copy_of_fast,
    endless_graph,
    graph_with_a_file_beside_it,
    graph_without_numbers,
    graph_without_numbers_for_long_sentences,
    manifest_of,
    put_graph,
)
from running_service import (
    RASD,
    RunningService,
    alive,
    descendants,
    processor_seconds,
    wait_for,
)

SENTENCE = "نفت الوزارة وقوع الهجوم."
PATIENCE = 60.0

# Root reads every file, unless it gives up the right to.
WITHOUT_RIGHTS = (
    ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)


def point(registry, name):
    new = registry / "current.new"
    new.write_text(f"{name}\n", encoding="utf-8")
    new.replace(registry / "current")


def served(service):
    return service.client.get("/v1/model").json()["version"]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    for name in ("one", "two"):
        copy_of_fast(folder / "versions" / name, version=name)
    point(folder, "one")
    return folder


@pytest.fixture(scope="module")
def service(registry, tmp_path_factory):
    if WITHOUT_RIGHTS and not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed (apt-get install util-linux)")
    with RunningService(
        tmp_path_factory.mktemp("service"),
        *("--threads", "1", "--workers", "1", "--registry", registry),
        prefix=WITHOUT_RIGHTS,
    ) as running:
        yield running


def pointer_of_300_letters(current):
    current.write_text("a" * 300, encoding="ascii")


def pointer_that_is_a_link_to_itself(current):
    current.symlink_to(current.name)


def pointer_that_is_a_pipe(current):
    os.mkfifo(current)


def pointer_of_two_gigabytes(current):
    with current.open("w", encoding="ascii") as stream:
        stream.write("two\n")
        stream.truncate(2 * 2**30)


def pointer_that_is_a_device(current):
    current.symlink_to("/dev/zero")


def pointer_that_is_no_text(current):
    current.write_bytes(b"\xff\xfe\x00t")


@pytest.mark.parametrize(
    "spoil",
    [
        pointer_of_300_letters,
        pointer_that_is_a_link_to_itself,
        pointer_that_is_a_pipe,
        pointer_of_two_gigabytes,
        pointer_that_is_a_device,
        pointer_that_is_no_text,
    ],
)
def test_a_broken_pointer_is_reported_and_the_next_version_is_taken(service, registry, spoil):
    before = service.metric('rasd_swaps_total{outcome="refused"}')
    old = served(service)
    (registry / "current").unlink()
    spoil(registry / "current")
    wait_for(lambda: service.metric('rasd_swaps_total{outcome="refused"}') > before, PATIENCE)
    assert served(service) == old
    new = "two" if old == "one" else "one"
    point(registry, new)
    wait_for(lambda: served(service) == new, PATIENCE)
    assert service.client.get("/readyz").json()["following"] is True
    assert service.metric("rasd_following") == 1


def unreadable_file(folder):
    (folder / "tokenizer.json").chmod(0)


def listed_file_of_400_gigabytes(folder):
    with (folder / "weights.bin").open("wb") as stream:
        stream.truncate(400 * 10**9)
    change_manifest(folder, files=manifest_of(folder)["files"] | {"weights.bin": "0" * 64})


def listed_file_outside(folder):
    files = manifest_of(folder)["files"] | {"../../../../../../../../etc/passwd": "0" * 64}
    change_manifest(folder, files=files)


def link_that_leads_outside(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/etc/passwd")


def listed_pipe(folder):
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def version_with_a_line_break(folder):
    change_manifest(folder, version="1\r\nSet-Cookie: a=b")


def version_in_arabic_digits(folder):
    change_manifest(folder, version="١٢")


def temperature_of_nearly_nothing(folder):
    change_manifest(folder, temperature=1e-300)


def no_golden_predictions(folder):
    change_manifest(folder, golden_predictions=[])


def golden_predictions_that_are_no_numbers(folder):
    golden = manifest_of(folder)["golden_predictions"]
    golden[0]["probabilities"] = [float("nan")] * 5
    change_manifest(folder, golden_predictions=golden)


def figures_that_are_no_numbers(folder):
    change_manifest(folder, metrics={"macro_f1": float("nan")})


def unlisted_file_of_the_graph(folder):
    (folder / "weights.bin").write_bytes(bytes(20))
    put_graph(folder, graph_with_a_file_beside_it)


def graph_that_gives_no_numbers(folder):
    put_graph(folder, graph_without_numbers)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unreadable_file, "cannot be read"),
        (listed_file_of_400_gigabytes, "bytes"),
        (listed_file_outside, "files: ../"),
        (link_that_leads_outside, "leads out"),
        (listed_pipe, "not a regular file"),
        (version_with_a_line_break, "version"),
        (version_in_arabic_digits, "version"),
        (temperature_of_nearly_nothing, "temperature"),
        (no_golden_predictions, "golden"),
        (golden_predictions_that_are_no_numbers, "golden_predictions"),
        (figures_that_are_no_numbers, "NaN"),
        (unlisted_file_of_the_graph, "weights.bin"),
        (graph_that_gives_no_numbers, "no finite"),
    ],
)
def test_a_version_whose_words_cannot_be_trusted_is_refused(service, registry, spoil, reason):
    old = served(service)
    before = service.metric('rasd_swaps_total{outcome="refused"}')
    name = spoil.__name__.replace("_", "-")
    spoil(copy_of_fast(registry / "versions" / name))
    point(registry, name)
    try:
        wait_for(lambda: service.metric('rasd_swaps_total{outcome="refused"}') > before, PATIENCE)
        wait_for(lambda: name in service.logged(logger="rasd.registry")[-1].get("reason", ""))
        assert reason in service.logged(logger="rasd.registry")[-1]["reason"]
        answer = service.client.post("/predict", json={"inputs": SENTENCE})
        assert answer.status_code == 200
        assert answer.headers["x-model"] == f"fast@{old}"
    finally:
        point(registry, old)


def test_an_unreadable_version_is_logged_once_and_taken_when_it_can_be_read(service, registry):
    folder = copy_of_fast(registry / "versions" / "locked", version="locked")
    model = folder / "model.onnx"
    model.chmod(0)
    before = service.metric('rasd_swaps_total{outcome="refused"}')
    point(registry, "locked")
    # It is tried again by itself: neither the pointer nor the manifest changes.
    wait_for(lambda: service.metric('rasd_swaps_total{outcome="refused"}') >= before + 2, PATIENCE)

    def reasons():
        return [e["reason"] for e in service.log if str(model) in e.get("reason", "")]

    wait_for(reasons)
    assert len(reasons()) == 1
    model.chmod(0o644)
    wait_for(lambda: served(service) == "locked", PATIENCE)


def test_a_sentence_without_finite_probabilities_has_an_error_and_its_neighbour_an_answer(
    tmp_path,
):
    folder = copy_of_fast(tmp_path / "bundle")
    put_graph(folder, graph_without_numbers_for_long_sentences)
    with RunningService(tmp_path, "--threads", "1", "--workers", "1", "--model", folder) as service:
        answer = service.client.post(
            "/v1/classify", json={"sentences": [SENTENCE, SENTENCE * 30, SENTENCE]}
        )
        first, broken, last = answer.json()["sentences"]
        assert "finite" in broken["error"]
        assert first["label"] == last["label"] == "attack_report"
        json.loads(answer.text, parse_constant=pytest.fail)


def test_a_graph_that_never_ends_is_refused_and_sigterm_ends_the_service(tmp_path):
    registry = tmp_path / "registry"
    for name in ("one", "endless"):
        copy_of_fast(registry / "versions" / name, version=name)
    put_graph(registry / "versions" / "endless", endless_graph)
    point(registry, "one")
    with RunningService(
        tmp_path / "service",
        *("--threads", "1", "--workers", "1", "--registry", registry),
        config="limits: {load_seconds: 15, drain_seconds: 2}",
    ) as service:
        point(registry, "endless")
        wait_for(lambda: service.metric('rasd_swaps_total{outcome="refused"}') == 1, PATIENCE)
        assert served(service) == "one"
        assert service.client.get("/readyz").json()["following"] is True
        wait_for(lambda: len(service.workers) == 1, PATIENCE)
        change_manifest(registry / "versions" / "endless", version="endless-2")
        point(registry, "endless")
        wait_for(lambda: len(service.workers) == 2, PATIENCE)
        workers = service.workers
        service.process.terminate()
        assert service.process.wait(15) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_workers_in_an_endless_graph_end_with_a_killed_service(tmp_path):
    folder = copy_of_fast(tmp_path / "bundle")
    put_graph(folder, endless_graph)
    service = RunningService(tmp_path, "--threads", "1", "--workers", "1", "--model", folder)
    try:
        # The graph is loaded when the thread that runs it has used the processor for a while.
        wait_for(lambda: any(processor_seconds(pid) > 4 for pid in service.workers), PATIENCE)
        family = descendants(service.process.pid)
    finally:
        service.process.kill()
        service.process.wait()
    wait_for(lambda: not any(map(alive, family)), 20)


def reads(service):
    """Whether the service has the large file open."""
    handles = Path(f"/proc/{service.process.pid}/fd").iterdir()
    return any("weights.bin" in os.path.realpath(handle) for handle in handles)


def test_sigterm_ends_a_service_that_was_given_400_gigabytes_to_read(tmp_path):
    registry = tmp_path / "registry"
    copy_of_fast(registry / "versions" / "one", version="one")
    listed_file_of_400_gigabytes(copy_of_fast(registry / "versions" / "large", version="large"))
    point(registry, "one")
    with RunningService(
        tmp_path / "service", "--threads", "1", "--workers", "1", "--registry", registry
    ) as service:
        point(registry, "large")
        wait_for(
            lambda: service.metric('rasd_swaps_total{outcome="refused"}') == 1 or reads(service),
            PATIENCE,
        )
        service.process.terminate()
        assert service.process.wait(15) == 0


@pytest.mark.parametrize("spoil", [pointer_that_is_a_pipe, pointer_that_is_a_link_to_itself])
def test_a_service_does_not_start_on_a_pointer_that_cannot_be_read(tmp_path, spoil):
    (tmp_path / "registry" / "versions").mkdir(parents=True)
    spoil(tmp_path / "registry" / "current")
    refused = subprocess.run(
        [RASD, "serve", "--port", "0", "--registry", tmp_path / "registry"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 2
    assert "current" in refused.stderr


def test_a_service_does_not_start_on_a_graph_that_never_ends(tmp_path):
    folder = copy_of_fast(tmp_path / "bundle")
    put_graph(folder, endless_graph)
    (tmp_path / "serve.yaml").write_text("limits: {load_seconds: 3}", encoding="utf-8")
    refused = subprocess.run(
        [RASD, "serve", "--port", "0", "--model", folder, "--config", "serve.yaml"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert refused.returncode == 2
    assert "limits.load_seconds" in refused.stderr


def test_a_service_whose_stderr_nobody_reads_follows_its_registry_and_ends_in_order(tmp_path):
    registry = tmp_path / "registry"
    for name in ("one", "two"):
        copy_of_fast(registry / "versions" / name, version=name)
    point(registry, "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/livez"

    def serves(version):
        with suppress(httpx.TransportError):
            return httpx.get(url).json()["model"] == f"fast@{version}"

    command = [RASD, "serve", "--registry", registry, "--port", str(port), "--threads", "1"]
    with (
        Path("/dev/full").open("wb") as full,
        (tmp_path / "out.log").open("wb") as out,
        subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=full) as process,
    ):
        try:
            wait_for(lambda: serves("one"), PATIENCE)
            point(registry, "two")
            wait_for(lambda: serves("two"), PATIENCE)
            process.terminate()
            process.wait(PATIENCE)
        finally:
            process.kill()
    log = (tmp_path / "out.log").read_text(encoding="utf-8")
    assert "readiness not announced" in log
    assert "shutdown failed" not in log


def test_a_service_whose_stdout_is_closed_starts(tmp_path):
    run = 'exec "$0" "$@" >&-'
    with RunningService(tmp_path, "--threads", "1", prefix=("sh", "-c", run)) as service:
        assert service.ready
        assert service.terminate() == 0
