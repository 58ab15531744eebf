"""Clients that mean harm, against a real process: memory, connections and bodies that never end."""

import http.client
import json
import os
import resource
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from running_service import RunningService, processor_seconds, wait_for

from serving.service.metrics import resident_bytes

MIB = 2**20
BODY = json.dumps({"sentences": ["نفت الوزارة وقوع الهجوم."]}).encode()
HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
CONFIG = "limits: {body_seconds: 2, deadline_seconds: 8}\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with RunningService(folder, "--threads", "1", "--workers", "1", config=CONFIG) as running:
        yield running


def connect(service, receive_buffer=None):
    """Open a connection; nothing here waits for ever."""
    client = socket.socket()
    client.settimeout(30)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    host, port = service.url.removeprefix("http://").split(":")
    client.connect((host, int(port)))
    return client


def reset(client):
    """Close with a RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def until_closed(client):
    """All that comes until the service closes; fails if it does not."""
    received = b""
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    client.close()
    return received


def answer(client):
    """One whole answer: its head and its body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += some(client)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += some(client)
    return head, body


def some(client):
    data = client.recv(65536)
    assert data, "closed in the middle of an answer"
    return data


def resident(service):
    return resident_bytes(service.process.pid)


def sockets(service):
    found = 0
    for link in Path(f"/proc/{service.process.pid}/fd").iterdir():
        with suppress(OSError):
            found += str(link.readlink()).startswith("socket:")
    return found


@pytest.mark.parametrize("head", [HEAD, LIVE], ids=["read", "unread"])
def test_endless_trailers_are_refused_and_cost_no_memory(service, head):
    before = resident(service)
    client = connect(service)
    chunk = b"%x\r\n%b\r\n" % (len(BODY), BODY)
    client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n")
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"v" * 100) for n in range(10_000))
    sent = 0
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        while sent < 200 * MIB:
            client.sendall(lines)
            sent += len(lines)
            time.sleep(0.05)
    client.close()
    assert resident(service) - before < 16 * MIB


def test_large_headers_that_end_in_a_reset_leave_nothing_in_memory(service):
    fields = b"".join(b"x-%d: %s\r\n" % (n, b"v" * 500) for n in range(100))
    many = b"".join(b"a:b\r\n" for _ in range(9000))

    def attack(number):
        client = connect(service)
        client.sendall(LIVE + (fields if number % 2 else many) + b"\r\n")
        client.recv(10)
        reset(client)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attack, range(16)))
        before = resident(service)
        list(pool.map(attack, range(400)))
    assert resident(service) - before < 12 * MIB


@pytest.mark.parametrize(
    "more",
    [b"\r\n", b"G", b"GET /livez HT", LIVE, LIVE + b"Content-Length: 5\r\n\r\nx"],
    ids=["line", "letter", "words", "headers", "body"],
)
def test_a_connection_that_stops_in_the_middle_is_closed(service, more):
    client = connect(service)
    client.sendall(LIVE + b"\r\n")
    assert answer(client)[0].startswith(b"HTTP/1.1 200 ")
    client.sendall(more)
    until_closed(client)


def test_a_full_house_makes_room_for_those_who_ask(service):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    before = sockets(service)
    crowd = []
    for _ in range(1005):
        client = connect(service)
        client.sendall(LIVE + b"\r\n")
        crowd.append(client)
    try:
        assert httpx.get(service.url + "/livez", timeout=30).status_code == 200
        assert httpx.post(service.url + "/v1/classify", content=BODY, timeout=30).status_code == 415
    finally:
        for client in crowd:
            client.close()
    # The service closes its ends too, before the next test counts them.
    wait_for(lambda: sockets(service) <= before + 2)


def test_answers_that_nobody_reads_are_given_up(service):
    idle = sockets(service)
    # The id is in each of 1,500 records: 6 MB, more than the kernel buffers.
    document = {"id": "\U000103a0" * 1000, "text": "؟\n\n" * 1500}
    body = json.dumps({"documents": [document]}).encode()
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    clients = [connect(service, receive_buffer=4096) for _ in range(6)]
    for client in clients:
        client.sendall(request)
    wait_for(lambda: sockets(service) >= idle + len(clients))
    wait_for(lambda: sockets(service) <= idle + 1, 40)
    for client in clients:
        client.close()


@pytest.mark.parametrize("together", [True, False], ids=["one packet", "two packets"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_a_refused_upgrade_keeps_its_body(service, together, chunked):
    smuggled = b"POST /v1/feedback HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for body, status in ((BODY, b"200"), (smuggled, b"400")):
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"
        if chunked:
            head = HEAD + upgrade + b"Transfer-Encoding: chunked\r\n\r\n"
            framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            head = HEAD + upgrade + b"Content-Length: %d\r\n\r\n" % len(body)
            framed = body
        client = connect(service)
        if together:
            client.sendall(head + framed)
        else:
            client.sendall(head)
            time.sleep(0.2)
            client.sendall(framed)
        received = until_closed(client)
        assert received.startswith(b"HTTP/1.1 %b " % status)
        assert received.count(b"HTTP/1.1 ") == 1
    client = connect(service)
    client.sendall(LIVE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert answer(client)[0].startswith(b"HTTP/1.1 200 ")
    client.sendall(LIVE + b"\r\n")
    assert answer(client)[0].startswith(b"HTTP/1.1 200 ")
    client.close()


def test_a_connection_holds_one_request_at_a_time(service):
    client = connect(service)
    client.sendall(REQUEST * 200)
    received = until_closed(client)
    assert received.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close" in received


def test_what_is_not_http_is_answered_on_a_used_connection_too(service):
    client = connect(service)
    client.sendall(LIVE + b"\r\n")
    assert answer(client)[0].startswith(b"HTTP/1.1 200 ")
    client.sendall(LIVE + b"x-forwarded-for: \x1b[31m\r\n\r\n")
    assert until_closed(client).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("line", ["PUT /nothing", "POST /nothing", "PUT /v1/classify"])
def test_the_bodies_of_unknown_routes_are_not_read(service, line):
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {2 * MIB}\r\n\r\n".encode()
    client = connect(service)
    client.sendall(head + b"x")
    received = until_closed(client)
    assert received.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 405 "))
    assert b"connection: close" in received


def test_bodies_that_stall_give_way_to_those_that_come(service):
    stalled = HEAD + b"Content-Length: %d\r\n\r\n" % (2 * MIB) + b" " * (2 * MIB - 1)
    clients = [connect(service) for _ in range(33)]
    with ThreadPoolExecutor(33) as pool:
        list(pool.map(lambda client: client.sendall(stalled), clients))
    large = json.dumps({"sentences": ["نفى."], "documents": None}).encode() + b" " * MIB
    headers = {"content-type": "application/json"}
    response = httpx.post(service.url + "/v1/classify", content=large, headers=headers, timeout=60)
    assert response.status_code == 200
    for client in clients:
        client.close()


def test_a_refusal_reaches_a_client_that_sends_its_body_first(service):
    host = service.url.removeprefix("http://")
    for _ in range(3):
        client = http.client.HTTPConnection(host, timeout=30)
        body = bytes(20 * MIB)
        client.request("POST", "/v1/classify", body, {"Content-Type": "application/json"})
        assert client.getresponse().status == 413
        client.close()


@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: localhost\r\n"])
def test_a_request_names_one_host(service, hosts):
    client = connect(service)
    client.sendall(f"GET /livez HTTP/1.1\r\n{hosts}\r\n".encode())
    assert answer(client)[0].startswith(b"HTTP/1.1 400 ")
    client.close()


def test_a_body_of_countless_values_is_refused_and_many_commas_are_not(service):
    headers = {"content-type": "application/json"}
    for value in (b"[]", b"1", b'{"a":1}'):
        body = b'{"sentences": [' + b",".join([value] * 200_000) + b"]}"
        response = httpx.post(
            service.url + "/v1/classify", content=body, headers=headers, timeout=60
        )
        assert (response.status_code, response.json()["type"]) == (
            422,
            "urn:rasd:too-many-values",
        )
    text = 'قال "لا"، ' + "a,[{\\" * 150_000
    response = httpx.post(service.url + "/v1/classify", json={"sentences": [text]}, timeout=60)
    assert response.status_code == 200


def test_a_sentence_without_end_costs_little_memory(service):
    (worker,) = service.workers
    for text in ("\ufdfa" * 699_000, "نفت الوزارة " * 87_000):
        body = json.dumps({"sentences": [text]}, ensure_ascii=False).encode()
        headers = {"content-type": "application/json"}
        before = resident_bytes(worker)
        response = httpx.post(
            service.url + "/v1/classify", content=body, headers=headers, timeout=60
        )
        assert response.json()["sentences"][0]["truncated"] is True
        assert peak(worker) < before + 100 * MIB


@pytest.mark.parametrize("unit", ["ا ", "\ufdfa؟ "])
def test_a_document_of_countless_sentences_costs_no_more_than_those_allowed(service, unit):
    (worker,) = service.workers
    text = unit * ((2 * MIB - 100) // len(unit.encode()))
    body = json.dumps({"documents": [{"text": text}]}, ensure_ascii=False).encode()
    headers = {"content-type": "application/json"}
    before = processor_seconds(worker)
    response = httpx.post(service.url + "/v1/classify", content=body, headers=headers, timeout=60)
    # A busy machine may need longer than the deadline. Then that holds.
    assert response.json()["type"] in ("urn:rasd:too-many", "urn:rasd:late")
    honest = httpx.post(service.url + "/v1/classify", content=BODY, headers=headers, timeout=60)
    assert honest.status_code == 200
    assert service.workers == [worker]
    assert processor_seconds(worker) - before < 4


def peak(pid):
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def test_every_answer_keeps_other_origins_out_and_the_log_holds_addresses_only(service):
    answer = service.client.get("/livez")
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    for sender in ("203.0.113.7", '"; rm -rf', "fe80::1%<b>"):
        headers = {"x-forwarded-for": sender.encode(), "x-request-id": "forwarded"}
        service.client.get("/v1/model", headers=headers)
    wait_for(lambda: [e for e in service.log if e.get("request_id") == "forwarded"][2:])
    clients = [e["client"] for e in service.log if e.get("request_id") == "forwarded"]
    assert clients == ["203.0.113.7", "", "fe80::1"]


def test_a_log_that_nobody_reads_stops_no_request(tmp_path):
    os.mkfifo(tmp_path / "log")
    run = 'exec "$0" "$@" 1<>log'  # a pipe with the service itself as its only reader
    with RunningService(
        tmp_path, "--threads", "1", prefix=("sh", "-c", run), config="feedback: {database: null}"
    ) as service:
        for _ in range(500):
            assert service.client.get("/v1/model", timeout=10).status_code == 200
        wait_for(lambda: service.client.get("/v1/model") and service.metric("rasd_log_lines") >= 0)
        assert service.terminate() == 0


def test_a_stopped_service_leaves_no_hostile_connection_waiting(tmp_path):
    with RunningService(tmp_path, "--threads", "1", config=CONFIG) as service:
        clients = [connect(service) for _ in range(20)]
        for client in clients:
            client.sendall(HEAD)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
