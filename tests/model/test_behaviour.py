"""What the models that ship must get right: the included cases, kind by kind.

The floors are what the models reached when they were exported, less one case in a kind (two where
a kind has 30 and more), since int8 products differ a little between processors. They hide nothing:
`rasd evaluate --behaviour` lists every case that fails. Raise them with a better model.
"""

import pytest

from serving.classifier import Classifier
from training.evaluate.behaviour import INCLUDED, read_behaviour, run_behaviour

FLOORS = {  # kind: passes of default, of fast
    "plain attack_report": (21, 21),
    "plain claim": (19, 19),
    "plain denial": (12, 12),
    "plain official_response": (12, 12),
    "plain other": (10, 10),
    "headline": (32, 32),
    "flash": (24, 23),
    "dialect denial": (39, 40),
    "dialect, not a denial": (20, 20),
    "fact-check": (21, 22),
    "hidden speaker": (21, 20),
    "communique": (18, 18),
    "general news": (24, 24),
    "scope trap": (30, 30),
    "names": (23, 22),
    "numbers": (12, 12),
    "quotation marks": (11, 9),
    "spelling": (12, 12),
    "direction": (22, 21),
}


@pytest.fixture(scope="module", params=["default", "fast"])
def classifier(request) -> Classifier:
    return Classifier.load(request.param)


def test_every_kind_passes_as_often_as_the_models_did(classifier):
    number = ["default", "fast"].index(classifier.bundle.manifest.name)
    results = run_behaviour(classifier, read_behaviour(INCLUDED, classifier.bundle.scheme))
    assert {result.kind for result in results} == set(FLOORS)
    below = {
        result.kind: [failure.case.id for failure in result.failures]
        for result in results
        if result.passed < FLOORS[result.kind][number]
    }
    assert below == {}


def test_writing_that_means_the_same_scores_the_same(classifier):
    """Tashkeel, tatweel, bidi marks, presentation forms and spaces change nothing at all."""
    cases = read_behaviour(INCLUDED, classifier.bundle.scheme)
    for text in [case.text for case in cases if case.kind.startswith("plain")][::4]:
        variants = [
            text.replace("ل", "لَ"),
            text.replace("ت", "تـ"),
            f"\u202b{text}\u202c",
            text.replace("لا", "ﻻ"),
            text.replace("ي", "ی"),
            "  " + text.replace(" ", "   ") + "\u00a0",
        ]
        expected, *answers = classifier.classify([text, *variants])
        assert all(answer == expected for answer in answers), text
