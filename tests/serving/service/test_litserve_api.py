"""What the service takes from LitServe, checked against the version that is pinned."""

import inspect
import time
import tomllib
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import pytest
from litserve import LitServer
from litserve.loops import inference_worker

from serving.bundle import read_manifest, shipped_model
from serving.service.litserve_api import LabelServer
from serving.service.messages import Broken, Failed, Ready, Refused, Scored, Work, WorkerOptions
from serving.service.worker_process import run_worker

ROOT = Path(__file__).parents[3]
FAST = shipped_model("fast")
OPTIONS = WorkerOptions(FAST, read_manifest(FAST).model, threads=1, max_sentences=3)


@pytest.fixture
def worker():
    """Start a real worker process and return our end of its pipe, and the process."""
    started = []

    def start(options):
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=run_worker, args=(theirs, options, 0), daemon=True)
        process.start()
        theirs.close()
        started.append(process)
        return ours, process

    yield start
    for process in started:
        process.kill()
        process.join()


def work(form, *texts, deadline=None):
    ids = tuple(map(str, range(len(texts))))
    return Work(form, ids, texts, time.monotonic() + 60 if deadline is None else deadline)


def test_the_version_is_the_one_that_was_read():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"litserve=={version('litserve')}" in project["dependencies"]


def test_what_is_private_in_litserve_is_as_it_was_read():
    assert list(inspect.signature(inference_worker).parameters) == [
        "lit_api",
        "device",
        "worker_id",
        "request_queue",
        "transport",
        "workers_setup_status",
        "callback_runner",
        "restart_workers",
    ]
    for hook in ("register_endpoints", "_register_middleware", "lifespan"):
        assert hook in vars(LitServer)


def test_the_server_starts_with_no_route_and_no_middleware():
    @asynccontextmanager
    async def life():
        yield

    app = LabelServer(OPTIONS, life).app
    assert app.router.routes == []
    assert app.user_middleware == []


def test_a_worker_answers_lists_of_requests_until_its_pipe_closes(worker):
    pipe, process = worker(OPTIONS)
    assert isinstance(pipe.recv(), Ready)
    pipe.send(
        [
            work("documents", "نفى الوزير ذلك. وقُتل جنديان."),
            work("sentences", "نفى.", "نفى.", "نفى.", "نفى."),
            work("predict", "***"),
            work("predict", None, "نفى."),
        ]
    )
    documents, too_many, unreadable, ranked = pipe.recv()
    assert isinstance(documents, Scored)
    assert documents.statistics.sentences == 2
    assert isinstance(too_many, Refused) and too_many.why == "too_many"
    assert isinstance(unreadable, Refused) and unreadable.why == "unreadable"
    assert isinstance(ranked, Scored)
    assert ranked.statistics.refused == 1
    pipe.send([work("sentences", "نفى.", deadline=0.0)])
    (late,) = pipe.recv()
    assert isinstance(late, Refused) and late.why == "late"
    pipe.close()
    process.join(30)
    assert process.exitcode == 0


def test_a_worker_that_fails_on_a_request_says_so_and_takes_the_next(worker):
    pipe, _ = worker(OPTIONS)
    assert isinstance(pipe.recv(), Ready)
    pipe.send(["no work at all"])
    assert isinstance(pipe.recv(), Broken)
    pipe.send([work("sentences", "نفى.")])
    assert isinstance(pipe.recv()[0], Scored)


def test_a_bundle_that_does_not_load_is_reported_and_ends_the_worker(worker, tmp_path):
    pipe, process = worker(replace(OPTIONS, folder=tmp_path))
    failed = pipe.recv()
    assert isinstance(failed, Failed)
    assert str(tmp_path) in failed.reason
    process.join(30)
    assert process.exitcode == 0
