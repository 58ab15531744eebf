"""What the service answers: labels in both forms, probes, the model, and errors as problems."""

import json
import random
import re
from pathlib import Path

import pytest
from huggingface_hub import InferenceClient
from running_service import RunningService

from serving.classifier import Classifier
from serving.records import Prediction
from serving.text.sentences import split_sentences

ROOT = Path(__file__).parents[2]
ARTICLE = "نفت الوزارة وقوع الهجوم.\nوتبنت الجماعة الهجوم على الثكنة.\n***\nوأدان الوزير الهجوم."


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    # On a machine that does much else, 300 sentences may take longer than the usual deadline.
    config = "limits: {deadline_seconds: 600}\n"
    with RunningService(tmp_path_factory.mktemp("service"), config=config) as running:
        yield running


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(threads=1)


def problem(response, status, slug):
    """Check what every error has, and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["type"] == f"urn:rasd:{slug}"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def test_documents_come_back_as_their_records(service, classifier):
    documents = [{"id": "a", "text": ARTICLE}, {"text": ""}, {"id": "c", "text": "نفى.", "n": 1}]
    answer = service.client.post("/v1/classify", json={"documents": documents})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model"] == answer.headers["x-model"] == classifier.model
    assert [group["id"] for group in body["documents"]] == ["a", "1", "c"]
    records = body["documents"][0]["sentences"]
    assert [r["text"] for r in records] == [s.text for s in split_sentences(ARTICLE)]
    for number, record in enumerate(records):
        assert record["doc_id"] == "a"
        assert record["sentence"] == number
        assert record["text"] == ARTICLE[record["start"] : record["end"]]
        assert record["model"] == classifier.model
    assert body["documents"][1]["sentences"] == []


def test_a_document_without_full_stops_is_read_to_its_end(service, classifier):
    text = " ".join(["قصف الجيش أطراف البلدة فجرا وقال شهود إن ثلاثة قتلوا"] * 40)
    answer = service.client.post("/v1/classify", json={"documents": [{"text": text}]})
    records = answer.json()["documents"][0]["sentences"]
    assert [record["text"] for record in records] == [s.text for s in classifier.split(text)]
    assert " ".join(record["text"] for record in records).split() == text.split()
    assert not any("truncated" in record for record in records)


def test_a_bad_sentence_has_its_own_error_and_its_neighbours_are_answered(service):
    sentences = ["نفت الوزارة وقوع الهجوم.", "***", "", "وأدان الوزير الهجوم."]
    records = service.client.post("/v1/classify", json={"sentences": sentences}).json()["sentences"]
    assert [record["text"] for record in records] == sentences
    assert ["error" in record for record in records] == [False, True, True, False]
    assert records[1]["label"] is None
    ranked = service.client.post("/predict", json={"inputs": sentences}).json()
    assert "nothing to classify" in ranked[1]["error"]
    assert ranked[0][0]["label"] == records[0]["label"]


def test_every_road_gives_the_same_scores_bit_for_bit(service, classifier, authored):
    texts = [row["text"] for row in authored[::6]]
    expected = dict(zip(texts, classifier.classify(texts), strict=True))
    order = random.Random(5)
    order.shuffle(texts)
    while texts:
        size = order.choice([1, 2, 7, 20, 64, 300])
        part, texts = texts[:size], texts[size:]
        records = service.client.post("/v1/classify", json={"sentences": part}).json()["sentences"]
        ranked = service.client.post("/predict", json={"inputs": part}).json()
        for text, record, pairs in zip(part, records, ranked, strict=True):
            prediction = expected[text]
            assert isinstance(prediction, Prediction)
            assert record["probabilities"] == prediction.probabilities
            assert (record["label"], record["certain"]) == (prediction.label, prediction.certain)
            assert {pair["label"]: pair["score"] for pair in pairs} == prediction.probabilities
            assert pairs[0]["label"] == prediction.label


@pytest.mark.parametrize("path", ["", "/predict"])
def test_hugging_faces_client_works_as_it_is(service, classifier, path):
    text = "نفت الجماعة مسؤوليتها عن الهجوم."
    client = InferenceClient(model=service.url + path)
    (expected,) = classifier.classify([text])
    assert isinstance(expected, Prediction)
    scores = client.text_classification(text)
    assert scores[0].label == expected.label
    assert {item.label: item.score for item in scores} == expected.probabilities
    assert len(client.text_classification(text, top_k=2)) == 2


def test_probes_and_the_model(service, classifier):
    assert service.client.get("/livez").json() == {"ok": True, "model": classifier.model}
    assert service.client.get("/readyz").json() == {"ok": True, "model": classifier.model}
    model = service.client.get("/v1/model").json()
    assert model["model"] == classifier.model
    assert [label["name"] for label in model["labels"]] == list(classifier.bundle.scheme.names)
    assert model["limits"] == {"sentences": 2000, "body_bytes": 2097152}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"sentences": [\xff]}',
        b'{"sentences": ["\\ud800"]}',
        b'{"sentences": [NaN]}',
        b"[" * 100_000,
        b'{"sentences":' * 50_000,
    ],
)
@pytest.mark.parametrize("route", ["/v1/classify", "/predict"])
def test_what_is_not_json_is_a_400(service, route, body):
    response = service.client.post(
        route, content=body, headers={"content-type": "application/json"}
    )
    problem(response, 400, "broken-json")


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("/v1/classify", {}, ""),
        ("/v1/classify", {"sentences": [], "documents": []}, ""),
        ("/v1/classify", {"sentences": "نفى"}, "sentences"),
        ("/v1/classify", {"sentences": ["نفى", 3]}, "sentences.1"),
        ("/v1/classify", {"documents": [{"text": "a"}, {"id": "b"}]}, "documents.1.text"),
        ("/v1/classify", {"documents": [{"id": [7], "text": "a"}]}, "documents.0.id"),
        ("/v1/classify", {"sentense": ["نفى"]}, "sentense"),
        ("/v1/classify", {"sentences": ["a"] * 2001}, "sentences"),
        ("/predict", {"inputs": 3}, "inputs"),
        ("/predict", {"inputs": "نفى", "parameters": {"top_k": 0}}, "parameters.top_k"),
    ],
)
def test_a_wrong_field_is_a_422_with_its_path(service, route, body, field):
    response = service.client.post(route, json=body)
    slug = "too-many" if "2,001" in response.text else "invalid"
    assert field in [error["field"] for error in problem(response, 422, slug)["errors"]]


def test_an_unknown_field_is_answered_with_those_there_are(service):
    body = problem(service.client.post("/v1/classify", json={"text": "نفى"}), 422, "invalid")
    assert body["detail"] == "text: unknown field; the fields are documents, sentences"


def test_more_sentences_than_allowed_in_documents_are_refused(service):
    text = "نفت الوزارة وقوع الهجوم. " * 2001
    body = problem(
        service.client.post("/v1/classify", json={"documents": [{"text": text}]}), 422, "too-many"
    )
    assert "2,001 sentences" in body["detail"]


def test_one_text_that_cannot_be_read_is_a_422(service):
    problem(service.client.post("/predict", json={"inputs": "***"}), 422, "unreadable")


def test_a_body_over_the_limit_is_a_413_with_a_length_or_without(service):
    body = json.dumps({"sentences": ["x" * 2_200_000]}).encode()
    headers = {"content-type": "application/json"}
    problem(service.client.post("/v1/classify", content=body, headers=headers), 413, "too-large")
    pieces = (body[k : k + 65536] for k in range(0, len(body), 65536))
    problem(service.client.post("/v1/classify", content=pieces, headers=headers), 413, "too-large")


def test_other_errors_are_problems_too(service):
    problem(service.client.get("/no/such"), 404, "no-such-route")
    problem(service.client.get("/predict"), 405, "wrong-method")
    problem(service.client.post("/predict", data={"inputs": "x"}), 415, "not-json")
    problem(service.client.get("/livez", headers={"host": "evil.example"}), 421, "other-host")


def test_a_request_id_is_echoed_and_logged_and_texts_are_not(service):
    headers = {"x-request-id": "desk-42"}
    answer = service.client.post("/predict", json={"inputs": "كلمةسرية"}, headers=headers)
    assert answer.headers["x-request-id"] == "desk-42"
    service.client.post("/v1/classify", json={"كلمةسرية": 1})
    service.client.get("/كلمةسرية?q=كلمةسرية")
    entries = service.logged(request_id="desk-42")
    assert entries[0]["route"] == "/predict"
    assert entries[0]["status"] == 200
    assert entries[0]["sentences"] == 1
    assert "كلمةسرية" not in service.stdout + service.stderr
    odd = service.client.get("/livez", headers={"x-request-id": "a b\tc" * 40})
    assert odd.headers["x-request-id"].isalnum()


def test_metrics_count_what_was_answered(service):
    before = {
        name: service.metric(name)
        for name in ("rasd_sentences_total", "rasd_labels_total", "rasd_refused_sentences_total")
    }
    service.client.post("/predict", json={"inputs": ["نفى الوزير.", "***", "قتل جندي."]})
    after = {name: service.metric(name) - value for name, value in before.items()}
    assert after == {
        "rasd_sentences_total": 3,
        "rasd_labels_total": 2,
        "rasd_refused_sentences_total": 1,
    }
    text = service.client.get("/metrics").text
    for name in (
        "rasd_requests_total",
        "rasd_request_seconds_bucket",
        "rasd_queue_seconds_bucket",
        "rasd_model_seconds_bucket",
        "rasd_batch_tokens_bucket",
        "rasd_confidence_sum_total",
        "rasd_uncertain_sentences_total",
        "rasd_in_flight",
        "rasd_model_info",
        "rasd_process_resident_bytes",
    ):
        assert f"\n{name}" in text


def test_the_interface_is_described_and_shown_without_a_network(service):
    document = service.client.get("/openapi.json").json()
    assert document["paths"]["/v1/classify"]["post"]["requestBody"]["content"]["application/json"][
        "examples"
    ]
    assert "422" in document["paths"]["/predict"]["post"]["responses"]
    # Beside the document, also behind a proxy that adds a prefix.
    assert document["servers"] == [{"url": "."}]
    page = service.client.get("/docs")
    assert page.status_code == 200
    assert "http" not in page.text
    for name in ("assets/swagger-ui.css", "assets/swagger-ui-bundle.js", "start.js"):
        assert service.client.get(f"/docs/{name}").status_code == 200


def test_every_metric_of_the_dashboard_is_there(service):
    service.client.post("/predict", json={"inputs": "نفى الوزير."})
    dashboard = (ROOT / "docs" / "grafana" / "rasd.json").read_text(encoding="utf-8")
    offered = {
        line.partition("{")[0].partition(" ")[0]
        for line in service.client.get("/metrics").text.splitlines()
    }
    asked = set(re.findall(r"\brasd_\w+", dashboard))
    assert len(asked) > 15
    assert asked <= offered
