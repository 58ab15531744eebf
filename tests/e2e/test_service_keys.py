"""Keys while the service runs: revoked, added, broken; and who may listen without them."""

import http.client
import os
import signal

import pytest
from running_service import RunningService, alive, descendants, wait_for

from serving.service.keys import new_key

ORIGIN = "https://desk.example.org"
CONFIG = f"""\
limits: {{body_bytes: 4096}}
security: {{keys_file: keys.txt, requests_per_minute: 8, cors_origins: ["{ORIGIN}"]}}
feedback: {{database: null}}
"""


def bearer(key):
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def keys():
    return [new_key(name) for name in ("desk", "archive")]


@pytest.fixture(scope="module")
def service(tmp_path_factory, keys):
    folder = tmp_path_factory.mktemp("rotation")
    (folder / "keys.txt").write_text("\n".join(line for _, line in keys))
    with RunningService(folder, "--threads", "1", config=CONFIG) as running:
        yield running


def test_errors_may_be_read_from_listed_origins(service, keys):
    (key, _), *_ = keys
    origin = {"origin": ORIGIN}
    answers = [service.client.post("/predict", headers=origin)]
    headers = bearer(key) | origin | {"content-type": "application/json"}
    large = b" " * 5000
    answers += [service.client.post("/predict", content=large, headers=headers) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {401, 413, 429}
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["x-request-id"]
    other = service.client.post("/predict", headers={"origin": "https://evil.org"})
    assert "access-control-allow-origin" not in other.headers


def test_a_page_of_a_listed_origin_may_send_all_that_the_service_reads(service):
    wanted = "authorization,content-encoding,content-type,x-api-key,x-request-id"
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": wanted,
    }
    answer = service.client.options("/v1/classify", headers=asked)
    assert answer.status_code == 200
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert set(wanted.split(",")) <= set(allowed.split(", "))


def test_a_missing_key_is_told_to_a_client_that_sends_its_body_first(service):
    for _ in range(3):
        client = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=30)
        client.request("POST", "/v1/classify", bytes(20 * 2**20))
        assert client.getresponse().status == 401
        client.close()


def test_a_key_is_revoked_and_another_added_without_a_restart(service, keys):
    (desk, desk_line), (archive, archive_line) = keys
    file = service.folder / "keys.txt"

    def status(key):
        return service.client.get("/v1/model", headers=bearer(key)).status_code

    assert (status(desk), status(archive)) == (200, 200)
    file.write_text(desk_line)
    wait_for(lambda: status(archive) == 401, 20)
    for broken in ("", "# no key\n", "desk plain-key\n"):
        file.write_text(broken)
        refusals = len(refused(service))
        service.process.send_signal(signal.SIGHUP)
        wait_for(lambda n=refusals: len(refused(service)) > n, 20)
        assert (status(desk), status(archive)) == (200, 401)
    assert "plain-key" not in service.stdout
    file.write_text(archive_line)
    service.process.send_signal(signal.SIGHUP)
    wait_for(lambda: status(archive) == 200, 20)
    assert status(desk) == 401


def refused(service):
    return [e for e in service.log if e["message"].startswith("keys refused")]


@pytest.mark.parametrize("content", ["", "# desk sha256:\n", "\n\n"])
def test_a_keys_file_without_a_key_does_not_open_the_service(tmp_path, rasd, content):
    (tmp_path / "keys.txt").write_text(content)
    (tmp_path / "serve.yaml").write_text("security: {keys_file: keys.txt}\n")
    answer = rasd("serve", "--config", "serve.yaml", "--port", "0")
    assert answer.returncode == 2
    assert "keys.txt: holds no key" in answer.stderr
    assert len(answer.stderr.splitlines()) == 2


@pytest.mark.parametrize("host", ["127.example.org", "127.0.0.1.example.org", "0x7f.1", "0"])
def test_a_name_that_begins_like_a_loopback_address_needs_keys(rasd, host):
    answer = rasd("serve", "--host", host, "--port", "0")
    assert answer.returncode == 2
    assert "could use the service without a key" in answer.stderr


def test_every_page_of_the_web_needs_a_key(tmp_path, rasd):
    (tmp_path / "serve.yaml").write_text("security: {cors_origins: ['*']}\n")
    answer = rasd("serve", "--config", "serve.yaml", "--port", "0")
    assert answer.returncode == 2
    assert "cors_origins: '*' without API keys" in answer.stderr


def test_another_loopback_address_answers_to_itself(tmp_path):
    with RunningService(tmp_path, "--host", "127.0.0.2", "--threads", "1") as service:
        assert "127.0.0.2" in service.url
        assert service.client.get("/v1/model").status_code == 200
        rebound = service.client.get("/v1/model", headers={"host": "evil.example.org"})
        assert rebound.status_code == 421


def test_a_reload_without_a_keys_file_ends_nothing(tmp_path):
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as service:
        workers = service.workers
        service.process.send_signal(signal.SIGHUP)
        os.killpg(service.process.pid, signal.SIGHUP)
        assert service.client.post("/predict", json={"inputs": "نفى."}).status_code == 200
        assert service.workers == workers
        assert service.terminate() == 0


def test_a_closed_terminal_ends_the_service(tmp_path):
    terminal, inside = os.openpty()
    with RunningService(tmp_path, "--threads", "1", "--workers", "1", stdin=inside) as service:
        family = descendants(service.process.pid)
        os.close(inside)
        os.close(terminal)
        os.killpg(service.process.pid, signal.SIGHUP)  # as the kernel does
        service.process.wait(20)
        wait_for(lambda: not any(map(alive, family)), 20)
