"""Who may ask the service what: keys, their rates, and what is refused before it listens."""

import pytest
from running_service import RunningService

BODY = {"inputs": "نفى الوزير."}
EDITOR = "editor-key-0123456789"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    config = (
        "security:\n  requests_per_minute: 20\n  keys_file: keys.txt\n"
        "  cors_origins: [https://desk.example.org]\n"
    )
    (folder / "keys.txt").write_text(f"# the archive's\narchive sha256:{'0' * 64}\n")
    with RunningService(
        folder, "--threads", "1", config=config, environment={"RASD_API_KEYS": f"editor:{EDITOR}"}
    ) as running:
        yield running


def bearer(key):
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/classify"),
        ("POST", "/predict"),
        ("POST", "/"),
        ("POST", "/v1/feedback"),
        ("GET", "/v1/model"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/docs/start.js"),
        ("GET", "/health"),
    ],
)
def test_every_route_but_probes_and_page_needs_a_key(service, method, path):
    for headers in ({}, bearer("wrong"), {"x-api-key": ""}, {"authorization": f"Basic {EDITOR}"}):
        answer = service.client.request(method, path, headers=headers)
        assert answer.status_code == 401, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
    for probe in ("/livez", "/readyz"):
        assert service.client.get(probe).status_code == 200


def test_a_key_opens_in_both_headers_and_its_name_is_in_log_and_metrics(service):
    assert service.client.post("/predict", json=BODY, headers=bearer(EDITOR)).status_code == 200
    headers = {"x-api-key": EDITOR, "x-request-id": "named"}
    assert service.client.post("/predict", json=BODY, headers=headers).status_code == 200
    metrics = service.client.get("/metrics", headers=bearer(EDITOR)).text
    assert 'key="editor",route="/predict"' in metrics
    assert [e["caller"] for e in service.logged(request_id="named")] == ["editor"]
    assert EDITOR not in service.stdout + service.stderr + metrics


def test_a_key_that_asks_too_often_is_told_when_to_come_again(service):
    answers = [
        service.client.post("/predict", json=BODY, headers=bearer(EDITOR)) for _ in range(12)
    ]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].json()["type"] == "urn:rasd:too-often"
    assert int(refused[0].headers["retry-after"]) >= 1
    assert service.client.get("/v1/model", headers=bearer(EDITOR)).status_code == 200


def test_browsers_may_call_from_the_listed_origins_alone(service):
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    listed = service.client.options(
        "/v1/classify", headers={"origin": "https://desk.example.org", **ask}
    )
    assert listed.headers["access-control-allow-origin"] == "https://desk.example.org"
    other = service.client.options("/v1/classify", headers={"origin": "https://evil.org", **ask})
    assert "access-control-allow-origin" not in other.headers


def test_other_machines_need_keys_unless_insecure_is_said(tmp_path, rasd):
    refused = rasd("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    first, second = refused.stderr.splitlines()
    assert "host 0.0.0.0" in first
    assert "--new-key" in second
    assert "--insecure" in second


def test_a_new_key_opens_the_service_and_only_its_hash_is_stored(tmp_path, rasd):
    made = rasd("serve", "--new-key", "desk")
    assert made.returncode == 0
    key = made.stderr.split()[-1]
    assert made.stdout.startswith("desk sha256:")
    assert key not in made.stdout
    (tmp_path / "keys.txt").write_text(made.stdout)
    config = "security: {keys_file: keys.txt}\nfeedback: {database: null}\n"
    with RunningService(tmp_path, "--threads", "1", config=config) as service:
        assert service.client.get("/v1/model", headers=bearer(key)).status_code == 200
        assert service.client.get("/v1/model", headers=bearer(key + "x")).status_code == 401


@pytest.mark.parametrize("name", ["", "a b", "x:y"])
def test_a_new_key_needs_a_name_that_a_keys_file_can_hold(rasd, name):
    refused = rasd("serve", "--new-key", name)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 2


@pytest.mark.parametrize("line", ["desk", "desk plain-key", "desk sha256:12", "a/b sha256:00"])
def test_a_bad_line_of_the_keys_file_is_named_and_not_quoted(tmp_path, rasd, line):
    (tmp_path / "keys.txt").write_text(f"# keys\n{line}\n")
    (tmp_path / "serve.yaml").write_text("security: {keys_file: keys.txt}\n")
    refused = rasd("serve", "--config", "serve.yaml")
    assert refused.returncode == 2
    assert "keys.txt: line 2" in refused.stderr
    assert "plain-key" not in refused.stderr
