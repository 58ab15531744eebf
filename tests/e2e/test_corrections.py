"""Corrections over HTTP: stored, refused with the reason, and not lost when the disk fails."""

import resource
import sqlite3
import subprocess

import pytest
from running_service import RASD, RunningService, wait_for

from serving.feedback import NewCorrection, open_store

CORRECTION = {
    "text": "نفت الوزارة وقوع الهجوم.",
    "label": "denial",
    "predicted": "other",
    "model": "default@0",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with RunningService(tmp_path_factory.mktemp("service")) as running:
        yield running


def send(service: RunningService, **fields: object):
    return service.client.post("/v1/feedback", json=CORRECTION | fields)


def stored(service: RunningService) -> list[tuple[str, str]]:
    with sqlite3.connect(service.folder / "feedback.db") as database:
        return database.execute("SELECT text, label FROM rasd_corrections ORDER BY id").fetchall()


def test_a_correction_is_created_then_updated(service):
    first = send(service, annotator="هالة")
    assert (first.status_code, first.json()["outcome"]) == (201, "created")
    again = send(service, annotator=" هالة ", label="claim")
    assert (again.status_code, again.json()["outcome"]) == (200, "updated")
    assert again.json()["id"] == first.json()["id"]
    assert stored(service) == [(CORRECTION["text"], "claim")]


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"label": "denail"}, "label", "Did you mean denial?"),
        ({"predicted": "wat"}, "predicted", "not one of attack_report"),
        ({"text": "!!"}, "text", "no letter or digit"),
        ({"text": "نفى\0ذلك"}, "text", "NUL"),
        ({"probabilities": {"denial": 1.5}}, "probabilities.denial", "less than or equal to 1"),
        ({"unknown": 1}, "unknown", "unknown field; the fields are text, label"),
        ({"model": None}, "model", "string"),
    ],
)
def test_a_wrong_correction_is_refused_by_field(service, fields, field, said):
    before = stored(service)
    answer = send(service, **fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (problem,) = answer.json()["errors"]
    assert problem["field"] == field
    assert said in problem["message"]
    assert stored(service) == before


def test_a_disk_that_takes_no_more_is_a_problem_and_the_service_goes_on(tmp_path):
    with RunningService(tmp_path) as service:
        assert send(service).status_code == 201
        pid = service.process.pid
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        size = (tmp_path / "feedback.db-wal").stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))
        answers = [send(service, text=f"جملة {n} " * 500) for n in range(3)]
        assert {answer.status_code for answer in answers} <= {503, 507}
        assert all("feedback" in answer.json()["type"] for answer in answers)
        labelled = service.client.post("/v1/classify", json={"sentences": [CORRECTION["text"]]})
        assert labelled.status_code == 200
        assert stored(service) == [(CORRECTION["text"], "denial")]

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        assert send(service, text="جملة بعد ذلك").status_code == 201
        assert len(stored(service)) == 2


def test_a_name_that_a_key_gives_is_kept_apart(tmp_path):
    keys = "a:first-key-of-this-test,b:second-key-of-this-test"
    with RunningService(tmp_path, environment={"RASD_API_KEYS": keys}) as service:
        for key in ("first-key-of-this-test", "second-key-of-this-test"):
            answer = service.client.post(
                "/v1/feedback",
                json=CORRECTION | {"annotator": "هالة"},
                headers={"Authorization": f"Bearer {key}"},
            )
            assert answer.status_code == 201
        assert send(service).status_code == 401
        with sqlite3.connect(tmp_path / "feedback.db") as database:
            rows = database.execute("SELECT caller FROM rasd_corrections ORDER BY id").fetchall()
        assert rows == [("a",), ("b",)]


def test_a_database_that_fails_is_explained_in_the_log_alone(tmp_path):
    with RunningService(tmp_path) as service:
        assert send(service).status_code == 201
        for file in tmp_path.glob("feedback.db*"):
            file.unlink()
        (tmp_path / "feedback.db").mkdir()
        answer = send(service)
        assert answer.status_code == 503
        assert "the service's log has the reason" in answer.json()["detail"]
        wait_for(lambda: any(e["message"] == "correction not stored" for e in service.log))
        reasons = [e["reason"] for e in service.log if e["message"] == "correction not stored"]
        assert "unable to open database file" in reasons[0]
        (tmp_path / "feedback.db").rmdir()
        assert send(service).status_code == 201
        assert stored(service) == [(CORRECTION["text"], "denial")]


def test_an_export_to_a_full_disk_is_an_error_of_two_lines(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'feedback.db'}")
    store.add(NewCorrection(text="جملة " * 100_000, label="other", predicted="other", model="m"))
    store.close()
    answer = subprocess.run(
        [RASD, "feedback", "export", "-o", "labelled.jsonl"],
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**17, 2**17)),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 2
    assert "cannot be written" in answer.stderr
    assert not list(tmp_path.glob("*labelled*"))
