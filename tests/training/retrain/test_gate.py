"""The gate on figures that are known: which of them keep the champion."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.service.app import PAGE
from training.evaluate.behaviour import KindResult
from training.evaluate.comparison import compare
from training.evaluate.measure import Evaluation
from training.evaluate.metrics import classification_metrics
from training.retrain.config import GateConfig
from training.retrain.gate import Outcome, Tried, check_all, passes

NAMES = ("claim", "denial", "other")
GATE = GateConfig(
    max_macro_f1_drop=0.005,
    max_recall_drop=0.05,
    max_recall_drop_by_label={"denial": 0.01},
    max_ece_rise=0.02,
    min_gain=0.01,
    min_new_sentences=20,
    max_slowdown=1.25,
)
TRUE = np.repeat([0, 1, 2], 100)


def tried(
    predicted, *, new=30, confidence=None, golden=("claim",), passed=9, seconds=0.01
) -> Tried:
    """A model with these answers to TRUE, the first `new` of which are new sentences.

    Its confidence is its accuracy, so that it is well calibrated, unless one is given.
    """
    confidence = confidence or float(np.mean(np.asarray(predicted) == TRUE))
    probabilities = np.full((len(TRUE), 3), (1 - confidence) / 2)
    probabilities[np.arange(len(TRUE)), predicted] = confidence
    evaluation = object.__new__(Evaluation)
    object.__setattr__(evaluation, "metrics", classification_metrics(TRUE, probabilities, NAMES))
    return Tried(
        evaluation=evaluation,
        new_right=int((np.asarray(predicted) == TRUE)[:new].sum()),
        golden=golden,
        behaviour=(KindResult("plain", 10, (None,) * (10 - passed)),),
        seconds=seconds,
    )


def outcomes(champion, challenger, new=30):
    """Each check's outcome by its name."""
    comparison = compare(TRUE, challenger, champion, NAMES, name="champion", resamples=200)
    checks = check_all(GATE, tried(champion, new=new), tried(challenger, new=new), comparison, new)
    return {check.name: check.outcome for check in checks}, passes(checks)


def wrong(first: int, count: int, label: int) -> np.ndarray:
    answers = TRUE.copy()
    answers[first : first + count] = label
    return answers


def test_a_challenger_that_learned_the_new_sentences_and_forgot_nothing_passes():
    found, passed = outcomes(champion=wrong(0, 20, 2), challenger=wrong(0, 2, 2))
    assert passed
    assert set(found.values()) == {Outcome.PASSED}


def test_a_challenger_that_is_no_better_on_the_new_sentences_fails_on_them_alone():
    same = wrong(0, 10, 2)
    found, passed = outcomes(same, same)
    assert not passed
    assert [n for n, o in found.items() if o is Outcome.FAILED] == ["accuracy on new labels"]


def test_too_few_new_sentences_cannot_tell_and_stop_nothing():
    same = wrong(0, 10, 2)
    found, passed = outcomes(same, same, new=19)
    assert passed
    assert found["accuracy on new labels"] is Outcome.UNDECIDED


@given(st.integers(0, 99))
def test_a_gain_of_just_the_margin_is_enough(right):
    """Of 100 sentences one more is 0.01, however the difference of the shares is rounded."""
    champion, challenger = wrong(right, 100 - right, 2), wrong(right + 1, 99 - right, 2)
    found, _ = outcomes(champion, challenger, new=100)
    assert found["accuracy on new labels"] is Outcome.PASSED


@pytest.mark.parametrize(
    ("first", "lost", "check", "outcome"),
    [
        (100, 1, "recall of denial", Outcome.PASSED),  # one sentence is luck
        (100, 2, "recall of denial", Outcome.FAILED),  # denial is guarded most
        (200, 5, "recall of other", Outcome.PASSED),
        (200, 6, "recall of other", Outcome.FAILED),
    ],
)
def test_recall_is_guarded_label_by_label(first, lost, check, outcome):
    found, _ = outcomes(champion=wrong(0, 20, 2), challenger=wrong(first, lost, 0))
    assert found[check] is outcome


@pytest.mark.parametrize(("lost", "outcome"), [(29, Outcome.PASSED), (30, Outcome.FAILED)])
def test_a_loss_of_just_the_limit_is_allowed(lost, outcome):
    """Of 100 sentences 29 are 0.29, though 0.29 * 100 is computed as less than 29."""
    gate = GATE.model_copy(update={"max_recall_drop": 0.29})
    champion, challenger = TRUE.copy(), wrong(0, lost, 2)
    comparison = compare(TRUE, challenger, champion, NAMES, name="champion", resamples=200)
    checks = check_all(gate, tried(champion), tried(challenger), comparison, 30)
    assert {check.name: check.outcome for check in checks}["recall of claim"] is outcome


@given(st.integers(15, 100), st.sampled_from([0, 100, 200]))
def test_a_challenger_that_is_clearly_worse_never_passes(lost, first):
    found, passed = outcomes(
        champion=TRUE.copy(), challenger=wrong(first, lost, (first + 100) // 100 % 3)
    )
    assert not passed
    assert found["macro-F1"] is Outcome.FAILED


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"golden": ("denial",)}, "golden sentences"),
        ({"behaviour": (KindResult("plain", 10, (None,) * 2),)}, "behaviour tests passed"),
        ({"seconds": 0.0126}, "CPU milliseconds per sentence"),
    ],
)
def test_what_no_label_shows_is_checked_too(changes, check):
    champion, better = wrong(0, 20, 2), TRUE.copy()
    comparison = compare(TRUE, better, champion, NAMES, name="champion", resamples=200)
    challenger = dataclasses.replace(tried(better), **changes)
    checks = check_all(GATE, tried(champion), challenger, comparison, 30)
    assert [c.name for c in checks if c.outcome is Outcome.FAILED] == [check]


def test_a_challenger_whose_probabilities_mislead_fails():
    champion, better = wrong(0, 20, 2), TRUE.copy()
    comparison = compare(TRUE, better, champion, NAMES, name="champion", resamples=200)
    checks = check_all(GATE, tried(champion), tried(better, confidence=0.5), comparison, 30)
    assert [c.name for c in checks if c.outcome is Outcome.FAILED] == ["calibration error"]


def test_the_page_has_every_check_in_arabic():
    better = tried(TRUE.copy())
    comparison = compare(TRUE, TRUE, TRUE, NAMES, name="champion", resamples=200)
    names = {check.name for check in check_all(GATE, better, better, comparison, 30)}
    words = (PAGE / "i18n.js").read_text(encoding="utf-8")
    table = words.partition("ARABIC_CHECKS = {")[2].partition("}")[0]
    known = set(re.findall(r'"([^"]+)": "', table))
    assert known == {name for name in names if not name.startswith("recall of ")}
