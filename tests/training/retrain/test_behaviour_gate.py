"""The behaviour tests that are installed with rasd are part of the gate."""

from pathlib import Path

import pytest
import yaml
from labelled_files import SCHEME, read

from serving.classifier import Classifier
from serving.errors import InputError
from serving.labels import LabelScheme
from training.evaluate.behaviour import INCLUDED, read_behaviour, run_behaviour
from training.retrain.compare import compare_models
from training.retrain.config import load_retrain_config
from training.retrain.gate import Outcome
from training.retrain.merge import Counts, Merged

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "configs" / "retrain.yaml"


def config(tmp_path, **values):
    """The shipped configuration with other values; None leaves a key out."""
    shipped = (
        yaml.safe_load(SHIPPED.read_text(encoding="utf-8")) | {"base": ["base.jsonl"]} | values
    )
    path = tmp_path / "retrain.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in shipped.items() if v is not None}))
    return load_retrain_config(path)


def test_the_included_cases_are_the_default_and_in_the_package(tmp_path):
    assert load_retrain_config(SHIPPED).behaviour == INCLUDED
    assert config(tmp_path, behaviour=None).behaviour == INCLUDED
    assert config(tmp_path, behaviour="mine.jsonl").behaviour == tmp_path / "mine.jsonl"
    assert INCLUDED.is_relative_to(ROOT / "training")
    (tmp_path / "none.yaml").write_text(
        SHIPPED.read_text(encoding="utf-8").replace("behaviour: included", "behaviour: null")
    )
    assert load_retrain_config(tmp_path / "none.yaml").behaviour is None


def test_a_model_that_passes_fewer_of_them_is_kept_out(tmp_path):
    """With the included models themselves: the one that passes more is the champion."""
    models = [Classifier.load(name) for name in ("default", "fast")]
    cases = read_behaviour(INCLUDED, SCHEME)
    passed = [sum(kind.passed for kind in run_behaviour(model, cases)) for model in models]
    assert len(cases) == 434
    assert passed[0] != passed[1]
    if passed[0] < passed[1]:
        models.reverse()
    rows = ROOT / "data" / "authored.jsonl"
    test = read(rows, conflicts="first").sentences[:50]
    merged = Merged([], [], test, Counts(1, 1, 0, 0, 0, 0, 0), [])
    result = compare_models(*models, merged, config(tmp_path))
    (check,) = [check for check in result.checks if check.name == "behaviour tests passed"]
    assert check.outcome is Outcome.FAILED
    assert check.condition == "not lower, on 434 cases"
    assert [round(share * 434) for share in (check.champion, check.challenger)] == sorted(
        passed, reverse=True
    )
    assert not result.promoted
    (golden,) = [check for check in result.checks if check.name == "golden sentences"]
    assert f"each of its {len(models[0].bundle.manifest.golden_predictions)} golden" in (
        golden.condition
    )


def test_other_labels_need_tests_of_their_own():
    scheme = LabelScheme.model_validate(
        {
            "labels": [
                {"name": name, "arabic": name, "colour": "#000000"} for name in ("claim", "rumour")
            ]
        }
    )
    with pytest.raises(InputError) as caught:
        read_behaviour(INCLUDED, scheme)
    assert str(caught.value) == (
        "the included behaviour tests are not for the labels claim, rumour\n"
        "Name a file of your own tests as `behaviour`, or leave them out with null."
    )
