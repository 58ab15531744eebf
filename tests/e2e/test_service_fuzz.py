"""Nothing that can be sent makes the service fail or hang.

`RASD_FUZZ=10000` tries that many bodies; the suite tries fewer.
"""

import json
import os
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from running_service import RunningService
from schemathesis.generation import GenerationMode

BODIES = int(os.environ.get("RASD_FUZZ", "300"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with RunningService(tmp_path_factory.mktemp("fuzz"), "--threads", "1") as running:
        yield running
        assert running.ready
        assert running.metric("rasd_worker_restarts_total") == 0
        assert not [entry for entry in running.log if entry["level"] == "error"]


def test_nothing_that_the_document_describes_makes_a_500(service):
    # Not by Schemathesis' pytest plugin, which reaches into pytest's own attributes.
    document = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    assert {"/v1/classify", "/predict", "/v1/feedback"} <= {one.path for one in operations}
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case):
                response = case.call()
                assert response.status_code < 500, response.text
                if case.method == "POST" and response.status_code == 200:
                    response.json()

            with suppress(Unsatisfiable):  # a route without parameters has no wrong ones
                check()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
texts = st.text(max_size=60) | st.text(
    alphabet="ابنفى ًـ.؟«»\n\u200f\u202e\ufeff\0😀٣3aA", max_size=200
)
nearly_right = st.fixed_dictionaries(
    {},
    optional={
        "documents": st.lists(
            st.fixed_dictionaries({"text": texts}, optional={"id": texts | anything}), max_size=5
        )
        | anything,
        "sentences": st.lists(texts | anything, max_size=5),
        "inputs": texts | st.lists(texts, max_size=5) | anything,
        "parameters": st.dictionaries(
            st.sampled_from(["top_k", "function_to_apply"]), st.integers() | anything
        ),
        "text": texts,
        "label": st.sampled_from(["claim", "denial"]) | texts,
        "predicted": st.sampled_from(["claim", "other"]) | texts,
        "model": texts,
        "note": texts | anything,
    },
)
# Lone surrogates, NaN and the like go over the wire as they would from a careless client.
bodies = st.binary(max_size=200) | (nearly_right | anything).map(
    lambda value: json.dumps(value).encode()
)
ROUTES = ("/v1/classify", "/predict", "/v1/feedback", "/")
KINDS = ("application/json", "application/json; charset=cp1256", "text/plain", "")


@settings(max_examples=BODIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies, route=st.sampled_from(ROUTES), kind=st.sampled_from((KINDS[0],) * 5 + KINDS))
def test_no_body_makes_a_500_or_a_hang(service, body, route, kind):
    response = service.client.post(route, content=body, headers={"content-type": kind}, timeout=60)
    assert response.status_code in (200, 201, 400, 415, 422), response.text
    if response.status_code >= 400:
        assert response.json()["status"] == response.status_code
