"""Label Studio and the service: predictions for its tasks, and what annotators chose in our store.

`label_studio.json` has what a real Label Studio (its version is in the file) and the service said
to each other while `desk_work` ran. The suite sends the same requests again. To run it with a real
Label Studio, install one in an environment of its own (`pip install label-studio`) and name its
program: `RASD_LABEL_STUDIO=/path/to/label-studio pytest tests/e2e/test_label_studio.py`. With
`RASD_RECORD=1` that run also writes the file.
"""

import copy
import json
import os
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from label_studio_server import LabelStudio, Recorder
from running_service import RASD, RunningService, wait_for

from serving.labels import LabelScheme
from serving.text.normalize import NORMALIZERS
from training.labelled.reading import read_labelled

ROOT = Path(__file__).parents[2]
RECORDED = Path(__file__).with_name("label_studio.json")
CONFIGURATION = (ROOT / "configs" / "label_studio.xml").read_text(encoding="utf-8")
KEY = "the-key-of-this-test"
ATTACK = "انفجرت عبوة ناسفة قرب سوق السدرة وأصيب أربعة باعة."
CLAIM = "تبنت كتائب السدرة تفجير الجسر الحديدي."
DENIAL = "نفت كتائب السدرة صلتها بتفجير الجسر."
SIGNS = "؟!"  # nothing that could be labelled
# Text, label, the model's label, annotator, name of the key.
STORED = [
    (CLAIM, "claim", "claim", "label-studio-1", "desk"),
    (DENIAL, "official_response", "denial", "label-studio-1", "desk"),
]
STUDIO = os.environ.get("RASD_LABEL_STUDIO")


def desk_work(studio: LabelStudio, backend: str) -> None:
    """What an engineer and an annotator do, and what they get to see."""
    empty = made(studio, "/api/projects/", title="no labels", label_config="<View></View>")
    refused = connect(studio, empty["id"], backend)
    assert refused[0] == 400
    assert "422 Client Error" in refused[1]

    values = {"title": "desk", "label_config": CONFIGURATION}
    project = made(studio, "/api/projects/", **values)["id"]
    tasks = [{"text": text} for text in (ATTACK, CLAIM, DENIAL, SIGNS)]
    assert studio.call("POST", f"/api/projects/{project}/import", tasks)[0] == 201
    refused = connect(studio, project, backend, key="another key")
    assert refused[0] == 400
    assert "authentication parameters" in refused[1]
    status, connected = connect(studio, project, backend)
    assert (status, connected["readable_state"]) == (201, "Connected")

    _, (webhook,) = studio.call("GET", f"/api/webhooks/?project={project}")
    assert webhook["url"] == f"{backend}/labelstudio/webhook"
    _, page = studio.call("GET", f"/api/tasks?project={project}")
    attack, claim, denial, _ = [task["id"] for task in page["tasks"]]
    annotate(studio, attack, "denial")  # before the webhook has the key: not stored
    key = {"headers": {"X-API-Key": KEY}}
    assert studio.call("PATCH", f"/api/webhooks/{webhook['id']}/", key)[0] == 200

    act(studio, project, "retrieve_tasks_predictions")
    _, predictions = studio.call("GET", f"/api/predictions/?project={project}")
    labels = [chosen(prediction) for prediction in predictions]
    assert labels == [["attack_report"], ["claim"], ["denial"], []]
    assert {one["model_version"] for one in predictions} == {connected["model_version"]}
    assert [one["score"] is None for one in predictions] == [False, False, False, True]

    annotate(studio, claim, "claim")  # a confirmation
    again = annotate(studio, denial, "claim")
    annotate(studio, denial, "official_response", again)  # a correction, thought over
    skipped = {"result": [], "was_cancelled": True}
    assert studio.call("POST", f"/api/tasks/{attack}/annotations/", skipped)[0] == 201
    # Predictions that become annotations with one click are nobody's judgement.
    act(studio, project, "predictions_to_annotations", model_version=connected["model_version"])
    assert studio.call("DELETE", f"/api/annotations/{again}/")[0] == 204

    assert studio.call("POST", f"/api/ml/{connected['id']}/train", {})[0] == 200
    _, (trained,) = studio.call("GET", f"/api/ml/?project={project}")
    assert trained["readable_state"] == "Connected"


def made(studio: LabelStudio, path: str, **values: Any) -> Any:
    status, answer = studio.call("POST", path, values)
    assert status == 201, answer
    return answer


def connect(studio: LabelStudio, project: int, backend: str, key: str = KEY) -> tuple[int, Any]:
    access = {"auth_method": "BASIC_AUTH", "basic_auth_user": "desk", "basic_auth_pass": key}
    values = {"project": project, "url": f"{backend}/labelstudio", "title": "rasd"}
    return studio.call("POST", "/api/ml/", values | access)


def act(studio: LabelStudio, project: int, action: str, **values: Any) -> None:
    everything = {"selectedItems": {"all": True, "excluded": []}, "project": project}
    path = f"/api/dm/actions?id={action}&project={project}"
    status, answer = studio.call("POST", path, everything | values)
    assert status == 200, answer


def annotate(studio: LabelStudio, task: int, label: str, annotation: int | None = None) -> int:
    names = {"from_name": "label", "to_name": "text", "type": "choices"}
    result = {"result": [names | {"value": {"choices": [label]}}]}
    if annotation is None:
        return int(made(studio, f"/api/tasks/{task}/annotations/", **result)["id"])
    assert studio.call("PATCH", f"/api/annotations/{annotation}/", result)[0] == 200
    return annotation


def chosen(prediction: dict[str, Any]) -> list[str]:
    return [label for result in prediction["result"] for label in result["value"]["choices"]]


def serve(folder: Path) -> RunningService:
    return RunningService(
        folder,
        "--model",
        "fast",
        "--threads",
        "1",
        environment={"RASD_API_KEYS": f"desk:{KEY}"},
        config="limits: {deadline_seconds: 3600}",  # who waits for it waits too long
    )


def stored(service: RunningService) -> list[tuple[str, ...]]:
    columns = "text, label, predicted, annotator, caller"
    with sqlite3.connect(service.folder / "feedback.db") as database:
        return database.execute(f"SELECT {columns} FROM rasd_corrections ORDER BY id").fetchall()


def export(service: RunningService) -> list[tuple[str, str]]:
    """What `rasd feedback export` writes, as `rasd train` reads it."""
    out = service.folder / "labels.jsonl"
    subprocess.run(
        [RASD, "feedback", "export", "-o", out], cwd=service.folder, check=True, capture_output=True
    )
    scheme = LabelScheme.read(ROOT / "configs" / "labels.yaml")
    data = read_labelled([out], scheme, NORMALIZERS["light"].apply)
    return [(sentence.text, sentence.label) for sentence in data.sentences]


@pytest.mark.skipif(not STUDIO, reason="RASD_LABEL_STUDIO names no Label Studio")
@pytest.mark.timeout(3600)
def test_a_real_label_studio_gets_predictions_and_its_annotations_are_stored(tmp_path):
    assert STUDIO
    with (
        serve(tmp_path / "service") as service,
        Recorder(service.url) as recorder,
        LabelStudio(STUDIO, tmp_path, port=18097) as studio,
    ):
        desk_work(studio, recorder.url)
        version = studio.version
        assert stored(service) == STORED
        assert export(service) == [row[:2] for row in STORED]
    if os.environ.get("RASD_RECORD"):
        record = {"label_studio": version, "exchanges": recorder.exchanges}
        text = json.dumps(record, ensure_ascii=False, indent=1)
        RECORDED.write_text(text + "\n", encoding="utf-8")


# --- What was recorded, without Label Studio -----------------------------------------------------


@pytest.fixture(scope="module")
def exchanges() -> list[dict[str, Any]]:
    return json.loads(RECORDED.read_text(encoding="utf-8"))["exchanges"]


@pytest.fixture
def service(tmp_path):
    with serve(tmp_path) as running:
        yield running


def send(service: RunningService, request: dict[str, Any]):
    body = None if request["body"] is None else json.dumps(request["body"])
    return service.client.request(
        request["method"], request["path"], headers=request["headers"], content=body
    )


def event(exchanges, action: str) -> dict[str, Any]:
    """The first webhook of an action that was stored, to change at will."""
    return copy.deepcopy(
        next(
            exchange["request"]
            for exchange in exchanges
            if exchange["request"]["path"] == "/labelstudio/webhook"
            and exchange["request"]["body"]["action"] == action
            and exchange["answer"]["body"].get("stored", 1)
            and "X-API-Key" in exchange["request"]["headers"]
        )
    )


def test_what_a_real_label_studio_sent_is_answered_and_stored_as_it_was(service, exchanges):
    model = service.client.get("/livez").json()["model"]
    paths = set()
    for exchange in exchanges:
        recorded = exchange["answer"]
        answer = send(service, exchange["request"])
        assert answer.status_code == recorded["status"], answer.text
        body = answer.json()
        paths.add((exchange["request"]["path"].removeprefix("/labelstudio/"), answer.status_code))
        if answer.status_code != 200:
            assert body["type"] == recorded["body"]["type"]
            continue
        for prediction, before in zip(
            body.get("results", []), recorded["body"].get("results", []), strict=True
        ):
            assert prediction["result"] == before["result"]
            assert (prediction["score"] is None) == (before["score"] is None)
            assert prediction["model_version"] == model
        assert body.keys() == recorded["body"].keys()
        assert body.get("model_version", model) == model
        assert body.get("stored") == recorded["body"].get("stored")
    assert paths >= {
        ("health", 200),
        ("health", 401),
        ("setup", 200),
        ("setup", 422),
        ("predict", 200),
        ("webhook", 200),
        ("webhook", 401),
        ("webhook", 422),
    }
    assert stored(service) == STORED
    assert export(service) == [row[:2] for row in STORED]
    reasons = [e["reason"] for e in service.logged(message="project refused")]
    assert all("no Choices control of a Text has the choices attack_report" in r for r in reasons)
    assert not any(text in service.stdout for text in (ATTACK, CLAIM, DENIAL))


def test_an_annotation_that_cannot_be_stored_is_refused_and_the_log_says_why(service, exchanges):
    wrong = {
        "another label": ("annotation.result", "'not sure' is not one of attack_report"),
        "two labels": ("", "The text has 2 labels; choose one."),
        "no text": ("text", "valid string"),
        "no letter": ("text", "no letter or digit"),
        "no payload": ("annotation", "valid dictionary"),
    }
    for name, (field, said) in wrong.items():
        request = event(exchanges, "ANNOTATION_CREATED")
        body = request["body"]
        choices = body["annotation"]["result"][0]["value"]["choices"]
        if name == "another label":
            choices[:] = ["not sure"]
        elif name == "two labels":
            choices.append("denial")
        elif name == "no text":
            body["task"]["data"] = {"other": CLAIM}
        elif name == "no letter":
            body["task"]["data"] = {"text": SIGNS}
        else:
            request["body"] = {"action": body["action"]}
        answer = send(service, request)
        assert answer.status_code == 422, name
        assert said in answer.json()["detail"], name
        assert answer.json()["detail"].startswith(field), name
    wait_for(
        lambda: sum(e["message"] == "annotation not stored" for e in service.log) == len(wrong)
    )
    assert stored(service) == []


def test_an_annotation_is_stored_also_when_the_model_does_not_answer(service, exchanges):
    """Label Studio waits a second for a webhook and never repeats it."""
    for pid in service.workers:
        os.kill(pid, signal.SIGSTOP)
    answer = send(service, event(exchanges, "ANNOTATION_CREATED"))
    assert answer.json() == {"stored": 1}
    assert stored(service) == [(CLAIM, "claim", "", "label-studio-1", "desk")]
    for pid in service.workers:
        os.kill(pid, signal.SIGCONT)
    assert send(service, event(exchanges, "ANNOTATION_UPDATED")).json() == {"stored": 1}
    assert stored(service)[1][:3] == (DENIAL, "official_response", "denial")


def test_more_tasks_than_a_request_may_have_are_refused(service, exchanges):
    request = copy.deepcopy(
        next(e["request"] for e in exchanges if e["request"]["path"] == "/labelstudio/predict")
    )
    request["body"]["tasks"] = [{"data": {"text": CLAIM}}] * 2001
    answer = send(service, request)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "tasks: 2,001 given; a request may have 2,000."


def test_without_a_store_tasks_get_predictions_and_there_is_no_webhook(tmp_path, exchanges):
    config = "feedback: {database: null}\nsecurity: {keys_file: keys.txt}\n"
    tmp_path.mkdir(exist_ok=True)
    line = subprocess.run(
        [RASD, "serve", "--new-key", "desk"], capture_output=True, text=True, check=True
    )
    (tmp_path / "keys.txt").write_text(line.stdout)
    key = line.stderr.split()[-1]
    with RunningService(tmp_path, "--model", "fast", "--threads", "1", config=config) as service:
        health = service.client.get("/labelstudio/health", auth=("anyone", key))
        assert health.json() == {"status": "UP", "model_class": "rasd"}
        request = event(exchanges, "ANNOTATION_CREATED") | {"headers": {"X-API-Key": key}}
        assert send(service, request).status_code == 404
