"""The service under stress: killed processes, full queues, late, slow and leaving clients."""

import json
import os
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from running_service import RunningService, alive, descendants, wait_for

from serving.bundle import MANIFEST, shipped_model

SENTENCE = "نفت الوزارة صحة الأنباء التي تحدثت عن هجوم على الثكنة في المدينة."
# Seconds of work for one worker of one thread.
LONG = {"sentences": [f"{SENTENCE} {n}" for n in range(600)]}
SHORT = {"sentences": [SENTENCE]}


def limits(**values) -> str:
    return f"limits: {json.dumps(values)}\nfeedback: {{database: null}}\n"


@pytest.fixture
def pool():
    with ThreadPoolExecutor(80) as executor:
        yield executor


def busy(service, pool):
    """Give the only worker something long, and return its answer to come."""
    running = pool.submit(post, service, LONG)
    wait_for(lambda: service.metric("rasd_in_flight") == 2)  # with the question itself
    return running


def post(service, body, **options):
    return httpx.post(service.url + "/v1/classify", json=body, timeout=60, **options)


def test_a_killed_worker_costs_no_request_and_readiness_tells(tmp_path, pool):
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as service:
        (worker,) = service.workers
        running = busy(service, pool)
        waiting = [pool.submit(post, service, SHORT) for _ in range(5)]
        wait_for(lambda: service.metric("rasd_waiting") == 5)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not service.ready, 5)
        wait_for(lambda: service.ready)
        assert [answer.result().status_code for answer in [running, *waiting]] == [200] * 6
        assert worker not in service.workers
        assert len(service.workers) == 1
        assert service.metric("rasd_worker_restarts_total") == 1
        assert service.logged(message="worker died")


def test_requests_that_wait_are_scored_together_and_each_gets_its_own(tmp_path, pool):
    bodies = [{"sentences": [f"{SENTENCE} {n}", "؟"] + [SENTENCE] * (n % 3)} for n in range(30)]
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as service:
        alone = [post(service, body).json() for body in bodies]
        counts = [service.metric("rasd_batch_tokens_count")]
        post(service, LONG)
        counts.append(service.metric("rasd_batch_tokens_count"))
        running = busy(service, pool)
        waiting = [pool.submit(post, service, body) for body in bodies]
        wait_for(lambda: service.metric("rasd_waiting") == len(bodies))
        assert [answer.result().json() for answer in waiting] == alone
        assert running.result().status_code == 200
        counts.append(service.metric("rasd_batch_tokens_count"))
        of_busy = counts[1] - counts[0]
        assert counts[2] - counts[1] - of_busy < len(bodies)


def test_a_worker_that_dies_over_several_requests_costs_none_of_them(tmp_path, pool):
    body = {"sentences": [SENTENCE] * 40}
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as service:
        running = busy(service, pool)
        waiting = [pool.submit(post, service, body) for _ in range(3)]
        wait_for(lambda: service.metric("rasd_waiting") == 3)
        running.result()
        os.kill(service.workers[0], signal.SIGKILL)
        assert [answer.result().status_code for answer in waiting] == [200] * 3
        wait_for(lambda: service.metric("rasd_worker_restarts_total") == 1)


def test_a_request_that_kills_its_worker_twice_is_given_up(tmp_path, pool):
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as service:
        running = pool.submit(post, service, LONG)
        for restarts in (1, 2):
            wait_for(lambda: service.ready and service.metric("rasd_waiting") == 0)
            time.sleep(0.3)
            os.kill(service.workers[0], signal.SIGKILL)
            wait_for(lambda n=restarts: service.metric("rasd_worker_restarts_total") == n)
        answer = running.result()
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:rasd:worker-lost"
        assert "retry-after" in answer.headers
        wait_for(lambda: service.ready)
        assert post(service, SHORT).status_code == 200


def test_a_killed_main_process_leaves_nothing_behind(tmp_path):
    with RunningService(tmp_path, "--threads", "1") as service:
        family = descendants(service.process.pid)
        assert service.workers
        service.process.kill()
        service.process.wait()
        wait_for(lambda: not any(map(alive, family)), 20)
        port = int(service.url.rpartition(":")[2])
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))


def test_sigterm_under_load_answers_what_is_in_flight_and_leaves_no_orphan(tmp_path, pool):
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as service:
        family = descendants(service.process.pid)
        answers = [busy(service, pool)]
        answers += [pool.submit(post, service, SHORT) for _ in range(10)]
        wait_for(lambda: service.metric("rasd_waiting") == 10)
        # Ctrl+C and a stopping service manager signal the workers too.
        os.killpg(service.process.pid, signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [200] * 11
        assert service.process.wait(30) == 0
        # Python's own resource tracker ends a moment after the process that it watches.
        wait_for(lambda: not any(map(alive, family)), 20)
        with pytest.raises(httpx.ConnectError):
            service.client.get("/livez")


def test_what_is_not_answered_in_the_drain_time_is_told_so(tmp_path, pool):
    config = limits(drain_seconds=1)
    with RunningService(tmp_path, "--threads", "1", "--workers", "1", config=config) as service:
        long = {"sentences": LONG["sentences"] * 3}
        answers = [pool.submit(post, service, long) for _ in range(3)]
        wait_for(lambda: service.metric("rasd_in_flight") == 4)  # with the question itself
        service.process.terminate()
        replies = [answer.result() for answer in answers]
        assert {reply.status_code for reply in replies} == {503}
        assert {reply.json()["type"] for reply in replies} == {"urn:rasd:worker-lost"}
        assert service.process.wait(30) == 0
        service.logged(3, message="request", status=503)
        assert not any("exception" in line for line in service.log)


def test_over_the_limit_requests_are_refused_at_once_and_the_rest_answered(tmp_path, pool):
    with RunningService(
        tmp_path, "--threads", "1", "--workers", "1", config=limits(in_flight=8)
    ) as service:
        answers = [pool.submit(post, service, {"sentences": [SENTENCE] * 60}) for _ in range(40)]
        replies = [answer.result() for answer in answers]
        refused = [reply for reply in replies if reply.status_code == 503]
        assert {reply.status_code for reply in replies} == {200, 503}
        assert len(replies) - len(refused) >= 8
        for reply in refused:
            assert reply.json()["type"] == "urn:rasd:busy"
            assert int(reply.headers["retry-after"]) >= 1
        assert post(service, SHORT).status_code == 200
        assert service.metric("rasd_in_flight") == 1  # the question itself


def test_the_deadline_is_answered_in_time_while_the_worker_is_busy(tmp_path, pool):
    with RunningService(
        tmp_path, "--threads", "1", "--workers", "1", config=limits(deadline_seconds=1)
    ) as service:
        answers = [pool.submit(post, service, LONG) for _ in range(4)]
        for answer in answers:
            reply = answer.result()
            assert reply.status_code == 504
            assert reply.json()["type"] == "urn:rasd:late"
            assert reply.elapsed.total_seconds() < 10
        # Work whose time is up is dropped, so the next one need not wait for all of it.
        wait_for(lambda: post(service, SHORT).status_code == 200, 15)


def test_a_worker_that_is_stuck_is_answered_for_and_replaced(tmp_path):
    with RunningService(
        tmp_path, "--threads", "1", "--workers", "1", config=limits(deadline_seconds=1)
    ) as service:
        (worker,) = service.workers
        os.kill(worker, signal.SIGSTOP)
        assert post(service, SHORT).status_code == 504
        assert service.client.get("/livez").status_code == 200
        wait_for(lambda: service.metric("rasd_worker_restarts_total") == 1)
        wait_for(lambda: service.ready)
        assert post(service, SHORT).status_code == 200


def test_the_queued_work_of_clients_that_left_is_skipped(tmp_path, pool):
    with RunningService(tmp_path, "--threads", "1", "--workers", "1") as service:
        running = busy(service, pool)
        body = json.dumps(LONG).encode()
        head = f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        leavers = []
        for _ in range(10):
            client = socket.create_connection(service.url.removeprefix("http://").split(":"))
            client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
            leavers.append(client)
        wait_for(lambda: service.metric("rasd_waiting") == 10)
        for client in leavers:
            client.close()
        wait_for(lambda: service.metric("rasd_waiting") == 0, 10)
        assert running.result().status_code == 200
        assert post(service, SHORT).status_code == 200
        assert service.metric("rasd_sentences_total") == 601
        assert len(service.logged(10, message="request", status=499)) == 10


def test_slow_and_endless_senders_are_shown_out_and_others_do_not_notice(tmp_path):
    with RunningService(
        tmp_path, "--threads", "1", config=limits(body_seconds=1, in_flight=2)
    ) as service:
        address = service.url.removeprefix("http://").split(":")
        head = (
            b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        )
        silent, dripping, headless, endless = (
            socket.create_connection(address, timeout=30) for _ in range(4)
        )
        dripping.sendall(head + b'Content-Length: 1000\r\n\r\n{"sent')
        headless.sendall(head[:40])
        assert post(service, SHORT).status_code == 200

        def flood() -> None:
            try:
                endless.sendall(head)
                for n in range(100_000):
                    endless.sendall(b"X-Filler-%d: %s\r\n" % (n, b"x" * 1000))
            except OSError:
                pass

        flooding = threading.Thread(target=flood)
        flooding.start()
        flooding.join(30)
        assert not flooding.is_alive()
        assert silent.recv(1000) == b""
        assert headless.recv(1000) == b""
        answer = dripping.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"urn:rasd:slow" in answer + dripping.recv(10_000)
        assert post(service, SHORT).status_code == 200
        for client in (silent, dripping, headless, endless):
            client.close()


def test_a_service_that_cannot_begin_says_so_and_ends(tmp_path, rasd):
    with RunningService(tmp_path / "one", "--threads", "1") as service:
        port = service.url.rpartition(":")[2]
        taken = rasd("serve", "--port", port)
    assert taken.returncode == 2
    assert "cannot listen there" in taken.stderr
    missing = rasd("serve", "--model", tmp_path / "nowhere")
    assert missing.returncode == 2
    assert "no such model folder" in missing.stderr


@pytest.mark.parametrize("seconds", [0.5, 1.0, 2.0])
def test_sigterm_while_it_starts_ends_it_at_once(tmp_path, seconds):
    service = RunningService(tmp_path, "--threads", "1")
    wait_for(lambda: descendants(service.process.pid))
    time.sleep(seconds)
    family = descendants(service.process.pid)
    assert service.terminate() == 0
    wait_for(lambda: not any(map(alive, family)), 20)


def test_a_bundle_that_only_a_worker_finds_wrong_is_refused(tmp_path, rasd):
    folder = shutil.copytree(shipped_model(), tmp_path / "bundle")
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["golden_predictions"][0]["probabilities"].reverse()
    path.write_text(json.dumps(manifest), encoding="utf-8")
    refused = rasd("serve", "--port", "0", "--model", folder)
    assert refused.returncode == 2, refused.stderr
    assert "the bundle expects" in refused.stderr
