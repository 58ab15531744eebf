"""Hostile clients for the load test: what each does, repeatedly, until the time is up.

Each works on one connection after the other. They run in a process of their own.
"""

import json
import multiprocessing
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
MIB = 2**20
# Connections that each clinging client keeps open: together more than the service accepts.
CROWD = 400


class Attack:
    """What one hostile client needs to know."""

    def __init__(self, port: int, seconds: float) -> None:
        """Attack this port of this machine for some seconds."""
        self._port = port
        self._end = time.monotonic() + seconds

    @property
    def on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self._end

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Open a connection."""
        client = socket.socket()
        client.settimeout(20)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect(("127.0.0.1", self._port))
        return client


def endless_trailers(attack: Attack) -> None:
    """Send trailers after a whole body until the service has enough."""
    body = json.dumps({"sentences": ["نفى."]}).encode()
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"v" * 100) for n in range(1000))
    with attack.connect() as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"%x\r\n%b\r\n0\r\n" % (len(body), body))
        while attack.on:
            client.sendall(lines)
            time.sleep(0.01)


def headers_and_reset(attack: Attack) -> None:
    """Send as many headers as may be, and reset the connection at the answer."""
    with attack.connect() as client:
        client.sendall(LIVE + b"".join(b"x-%d: %s\r\n" % (n, b"v" * 480) for n in range(120)))
        client.sendall(b"\r\n")
        client.recv(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    time.sleep(0.02)


def clinging(attack: Attack) -> None:
    """Hold many connections that each owe the rest of a request."""
    crowd = []
    try:
        for _ in range(CROWD):
            client = attack.connect()
            crowd.append(client)
            client.sendall(LIVE + b"\r\n")
            client.recv(4096)
            client.sendall(b"\r\n")
        while attack.on and any(map(_is_open, crowd)):
            time.sleep(0.5)
    finally:
        for client in crowd:
            client.close()


def expanding(attack: Attack) -> None:
    """Send one sentence of ligatures that each normalise to 18 letters."""
    _post(attack, json.dumps({"sentences": ["\ufdfa" * 690_000]}, ensure_ascii=False).encode())
    time.sleep(0.5)


def countless(attack: Attack) -> None:
    """Send documents that would be split into hundreds of thousands of sentences or clauses."""
    for unit in ("\ufdfa؟ ", "ا؟\u2028", "ا. ", "ا "):
        text = unit * ((2 * MIB - 100) // len(unit.encode()))
        _post(attack, json.dumps({"documents": [{"text": text}]}, ensure_ascii=False).encode())
        time.sleep(0.5)


def unread(attack: Attack) -> None:
    """Ask for six megabytes and read nothing."""
    document = {"id": "\U000103a0" * 1000, "text": "؟\n\n" * 1500}
    body = json.dumps({"documents": [document]}).encode()
    crowd = [attack.connect(receive_buffer=4096) for _ in range(10)]
    for client in crowd:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    while attack.on and any(map(_is_open, crowd)):
        time.sleep(0.5)
    for client in crowd:
        client.close()


def tiny_values(attack: Attack) -> None:
    """Send a body of as many JSON values as fit."""
    _post(attack, b'{"sentences": [' + b",".join([b"[]"] * 650_000) + b"]}")
    time.sleep(0.2)


def stalling(attack: Attack) -> None:
    """Send large bodies but for their last byte, to a route and to none."""
    crowd = [attack.connect() for _ in range(34)]
    for number, client in enumerate(crowd):
        head = HEAD if number % 2 else b"PUT /nothing HTTP/1.1\r\nHost: localhost\r\n"
        with suppress(OSError):
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % (2 * MIB) + b" " * (2 * MIB - 1))
    time.sleep(5)
    for client in crowd:
        client.close()


ATTACKS: tuple[Callable[[Attack], None], ...] = (
    endless_trailers,
    headers_and_reset,
    clinging,
    clinging,
    clinging,
    expanding,
    countless,
    unread,
    tiny_values,
    stalling,
)


def start(port: int, seconds: float) -> multiprocessing.process.BaseProcess:
    """Start all of them in a process, which ends when the time is up."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(port, seconds))
    process.start()
    return process


def _run(port: int, seconds: float) -> None:
    attack = Attack(port, seconds)

    def repeat(what: Callable[[Attack], None]) -> None:
        while attack.on:
            with suppress(OSError):  # the service closes their connections
                what(attack)
            time.sleep(0.05)

    threads = [threading.Thread(target=repeat, args=(what,), daemon=True) for what in ATTACKS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _post(attack: Attack, body: bytes) -> None:
    with attack.connect() as client:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        client.recv(4096)


def _is_open(client: socket.socket) -> bool:
    """Tell whether the service has not closed a connection whose answer is unread or read."""
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
