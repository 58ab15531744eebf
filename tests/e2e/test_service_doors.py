"""What a careless but well-meaning client sends: HEAD, gzip, a byte order mark, odd ids, nulls."""

import gzip
import http.client
import json
import os
import socket

import httpx
import pytest

JSON = {"content-type": "application/json"}
GZIP = JSON | {"content-encoding": "gzip"}
TEXTS = ["نفت الوزارة وقوع الهجوم.", "وأدان الوزير الهجوم."]
BODY = json.dumps({"sentences": TEXTS}).encode()
LIMIT = 2 * 2**20


def slug(response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()["type"].removeprefix("urn:rasd:")


def routes(service) -> list[str]:
    described = service.client.get("/openapi.json").json()["paths"]
    shown = [path for path, methods in described.items() if "get" in methods]
    return [*shown, "/", "/docs", "/openapi.json", "/docs/start.js", "/page/index.html"]


def test_head_is_answered_like_get_on_every_route(service):
    paths = routes(service)
    assert {"/livez", "/readyz", "/metrics", "/v1/model"} <= set(paths)
    for path in [*paths, "/no/such", "/predict"]:
        get, head = service.client.get(path), service.client.head(path)
        assert head.status_code == get.status_code, path
        assert head.content == b""
        assert get.content
        assert head.headers.keys() == get.headers.keys()
        assert head.headers["content-type"] == get.headers["content-type"]
        if path != "/metrics":  # its length changes from one request to the next
            assert head.headers["content-length"] == str(len(get.content))


def test_head_leaves_the_connection_usable_and_is_logged_as_head(service):
    named = {"x-request-id": "in-turns"}
    for _ in range(3):
        assert service.client.head("/v1/model", headers=named).status_code == 200
        assert service.client.get("/v1/model", headers=named).json()["labels"]
    methods = [entry["method"] for entry in service.logged(6, request_id="in-turns")]
    assert methods == ["HEAD", "GET"] * 3


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
def test_a_gzip_body_is_read(service, name):
    plain = service.client.post("/v1/classify", content=BODY, headers=JSON)
    headers = JSON | {"content-encoding": name}
    packed = service.client.post("/v1/classify", content=gzip.compress(BODY), headers=headers)
    assert packed.status_code == 200, packed.text
    assert packed.content == plain.content


def test_a_gzip_body_is_read_in_whatever_pieces_it_comes(service):
    packed = gzip.compress(BODY)
    pieces = (packed[at : at + 1] for at in range(len(packed)))
    assert service.client.post("/v1/classify", content=pieces, headers=GZIP).status_code == 200


def test_a_gzip_bomb_is_a_413_and_costs_no_memory(service):
    before = service.metric("rasd_process_resident_bytes")
    bomb = gzip.compress(bytes(256 * 2**20))
    assert len(bomb) < LIMIT
    for _ in range(3):
        response = service.client.post("/v1/classify", content=bomb, headers=GZIP)
        assert (response.status_code, slug(response)) == (413, "too-large")
    assert service.metric("rasd_process_resident_bytes") - before < 64 * 2**20


def test_the_limit_counts_the_decompressed_body_to_the_byte(service):
    fill = LIMIT - len(json.dumps({"sentences": [""]}))
    for extra, status in ((0, 200), (1, 413)):
        body = json.dumps({"sentences": ["x" * (fill + extra)]}).encode()
        packed = gzip.compress(body)
        response = service.client.post("/v1/classify", content=packed, headers=GZIP)
        assert (len(body), response.status_code) == (LIMIT + extra, status)


@pytest.mark.parametrize(
    "body",
    [BODY, b"", gzip.compress(BODY)[:-1], gzip.compress(BODY) + b"x", gzip.compress(BODY) * 2],
    ids=["plain", "empty", "cut", "more", "twice"],
)
def test_what_is_not_one_whole_gzip_stream_is_a_400(service, body):
    response = service.client.post("/v1/classify", content=body, headers=GZIP)
    assert (response.status_code, slug(response)) == (400, "broken-gzip")


def test_random_bytes_as_gzip_never_fail_the_service(service):
    head = gzip.compress(BODY)[:12]
    for _ in range(50):
        body = head + os.urandom(200)
        response = service.client.post("/v1/classify", content=body, headers=GZIP)
        assert response.status_code == 400


@pytest.mark.parametrize("name", ["br", "deflate", "zstd", "gzip, gzip", "nonsense"])
def test_another_encoding_is_a_415_that_names_gzip(service, name):
    headers = JSON | {"content-encoding": name}
    response = service.client.post("/v1/classify", content=BODY, headers=headers)
    assert (response.status_code, slug(response)) == (415, "unknown-encoding")
    assert response.headers["accept-encoding"] == "gzip"


def test_a_byte_order_mark_before_the_json_is_left_out(service):
    for route, body in (("/v1/classify", BODY), ("/predict", json.dumps({"inputs": TEXTS}))):
        content = b"\xef\xbb\xbf" + (body if isinstance(body, bytes) else body.encode())
        assert service.client.post(route, content=content, headers=JSON).status_code == 200


def test_an_id_may_be_a_number_and_becomes_its_json_text(service):
    ids = [7, -3, 2**70, 1.5, True, "a", None]
    documents = [{"id": value, "text": TEXTS[0]} for value in ids]
    groups = service.client.post("/v1/classify", json={"documents": documents}).json()["documents"]
    expected = ["7", "-3", str(2**70), "1.5", "true", "a", "6"]
    assert [group["id"] for group in groups] == expected
    assert [group["sentences"][0]["doc_id"] for group in groups] == expected


def test_a_null_text_has_its_own_error_and_the_others_are_answered(service):
    mixed = [TEXTS[0], None, TEXTS[1]]
    answer = service.client.post("/v1/classify", json={"sentences": mixed}).json()
    assert [record["label"] is None for record in answer["sentences"]] == [False, True, False]
    assert "the text is null" in answer["sentences"][1]["error"]
    documents = [{"id": "a", "text": TEXTS[0]}, {"id": "b", "text": None}]
    answer = service.client.post("/v1/classify", json={"documents": documents}).json()
    (record,) = answer["documents"][1]["sentences"]
    assert (record["doc_id"], record["text"], record["label"]) == ("b", "", None)
    assert "the text is null" in record["error"]
    ranked = service.client.post("/predict", json={"inputs": mixed}).json()
    assert ["error" in item for item in ranked] == [False, True, False]
    alone = service.client.post("/predict", json={"inputs": [None]})
    assert (alone.status_code, slug(alone)) == (422, "unreadable")


def test_the_document_describes_a_record_as_it_is_answered(service):
    schemas = service.client.get("/openapi.json").json()["components"]["schemas"]
    (record,) = service.client.post("/v1/classify", json={"sentences": TEXTS[:1]}).json()[
        "sentences"
    ]
    described = schemas["Record"]
    assert list(described["properties"]) == [*record, "truncated", "error"]
    assert described["required"] == list(record)
    assert "counts from 0" in described["description"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/", "GET, HEAD, POST"),
        ("/predict", "POST"),
        ("/livez", "GET, HEAD"),
        ("/page/x", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_answered_with_all_that_work(service, path, methods):
    answer = service.client.request("PUT", path)
    assert slug(answer) == "wrong-method"
    assert answer.headers["allow"] == methods


@pytest.mark.parametrize("path", ["/v1/classify/", "/predict/"])
def test_a_last_slash_leads_to_the_route_behind_a_proxy_too(service, path):
    body = {"sentences": TEXTS} if "classify" in path else {"inputs": TEXTS}
    answer = service.client.post(path, json=body)
    assert answer.status_code == 307
    # What the client sees of a proxy with TLS that adds a prefix.
    seen = httpx.URL(f"https://news.example/rasd{path}").join(answer.headers["location"])
    assert str(seen) == f"https://news.example/rasd{path.rstrip('/')}"
    assert service.client.post(path, json=body, follow_redirects=True).status_code == 200


def test_an_id_that_is_too_large_a_number_is_refused(service):
    body = b'{"documents": [{"id": 1e400, "text": "a"}, {"id": -1e400, "text": "b"}]}'
    answer = service.client.post("/v1/classify", content=body, headers=JSON)
    assert slug(answer) == "invalid"
    assert answer.json()["errors"][0]["field"] == "documents.0.id"


@pytest.mark.parametrize(
    ("request_head", "status", "kind"),
    [
        (
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 200,
            431,
            "headers-too-large",
        ),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\na: %b\r\n" % (b"b" * 70_000), 431, None),
        (b"GET /livez HTTP/1.1\r\nHost: local\x00host\r\n", 400, "not-http"),
    ],
)
def test_what_the_parser_refuses_is_a_problem_too(service, request_head, status, kind):
    with socket.create_connection(
        (service.client.base_url.host, service.client.base_url.port)
    ) as wire:
        wire.sendall(request_head + b"\r\n")
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        found = json.loads(answer.read())
    assert answer.status == found["status"] == status
    assert answer.getheader("content-type") == "application/problem+json"
    assert answer.getheader("connection") == "close"
    assert found["type"] == f"urn:rasd:{kind or 'headers-too-large'}"
    assert found["request_id"] == answer.getheader("x-request-id")
    assert service.logged(request_id=found["request_id"])
