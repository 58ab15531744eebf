"""Which sentences a retraining learns, chooses and tests with."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_files import LIGHT, SCHEME, json_lines, read

from serving.errors import InputError
from training.labelled.splits import leak_key
from training.retrain.config import load_retrain_config
from training.retrain.merge import merge

ROOT = Path(__file__).parents[3]
CONFIG = load_retrain_config(ROOT / "configs" / "retrain.yaml")


@pytest.fixture(scope="module")
def base(authored, tmp_path_factory):
    return json_lines(tmp_path_factory.mktemp("base") / "base.jsonl", *authored[:400])


def merged(base, labelled, recipe="full", **changes):
    config = CONFIG.model_copy(update={"base": (base,), **changes})
    return merge(read(labelled), config, getattr(config, recipe), SCHEME, LIGHT)


def texts(sentences):
    return {sentence.text for sentence in sentences}


def test_a_new_label_replaces_that_of_the_base_and_is_said(base, authored, tmp_path):
    row = next(r for r in authored[:400] if r["label"] == "claim")
    new = json_lines(
        tmp_path / "new.jsonl", {"text": row["text"], "label": "denial", "split": "train"}
    )
    found = merged(base, new)
    assert found.counts.replaced == 1
    assert [s.label for s in found.train if s.text == row["text"]] == ["denial"]
    assert row["text"] not in texts(found.test + found.dev)


def test_every_new_sentence_is_counted_on_one_side(base, authored, tmp_path):
    new = json_lines(tmp_path / "new.jsonl", *authored[1000:1100])
    counts = merged(base, new).counts
    assert counts.new_held_out > 0
    assert counts.learned + counts.new_held_out + counts.new_test == counts.new == 100


def test_what_is_near_identical_to_the_frozen_test_is_kept_out_and_counted(base, tmp_path):
    told = "نفت كتائب السدرة مقتل 12 من عناصرها في تفجير الجسر."
    test = json_lines(tmp_path / "test.jsonl", {"text": told, "label": "denial"})
    new = json_lines(
        tmp_path / "new.jsonl",
        {"text": told.replace("12", "15"), "label": "denial", "split": "train"},
        {"text": "تبنت كتائب السدرة تفجير الجسر.", "label": "claim", "split": "train"},
    )
    found = merged(base, new, test=(test,))
    assert found.counts.leaks == 1
    assert found.counts.learned == 1
    assert [s.text for s in found.test] == [told]


def test_a_correction_of_a_frozen_test_sentence_does_not_stand_beside_it(base, tmp_path):
    told = "نفت كتائب السدرة مقتل 12 من عناصرها في تفجير الجسر."
    test = json_lines(tmp_path / "test.jsonl", {"text": told, "label": "denial"})
    new = json_lines(
        tmp_path / "new.jsonl",
        {"text": told, "label": "claim", "split": "test"},
        {"text": "تبنت كتائب السدرة تفجير الجسر.", "label": "claim", "split": "train"},
    )
    found = merged(base, new, test=(test,))
    assert [(s.text, s.label) for s in found.test] == [(told, "denial")]
    assert (found.counts.new_test, found.counts.leaks) == (0, 1)


def test_quick_replays_the_configured_share_of_the_base(base, tmp_path):
    new = json_lines(
        tmp_path / "new.jsonl",
        {"text": "تبنت كتائب السدرة تفجير الجسر.", "label": "claim", "split": "train"},
    )
    full, quick = merged(base, new), merged(base, new, "quick")
    assert texts(quick.train) < texts(full.train)
    assert quick.counts.replayed == pytest.approx(
        CONFIG.quick.replay * full.counts.replayed, abs=25
    )
    assert texts(quick.test) == texts(full.test)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(400, 700), min_size=40, max_size=80, unique=True))
def test_no_sentence_is_on_two_sides_and_more_labels_move_none(
    base, authored, tmp_path_factory, rows
):
    folder = tmp_path_factory.mktemp("new")
    few = json_lines(folder / "few.jsonl", *(authored[r] for r in rows[:30]))
    many = json_lines(folder / "many.jsonl", *(authored[r] for r in rows))
    first, second = merged(base, few), merged(base, many)
    for found in (first, second):
        sides = [
            {leak_key(s.text, LIGHT) for s in side} for side in (found.train, found.dev, found.test)
        ]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert texts(first.test) <= texts(second.test)


def test_nothing_new_to_learn_from_is_refused(base, tmp_path):
    new = json_lines(
        tmp_path / "new.jsonl",
        {"text": "تبنت كتائب السدرة تفجير الجسر.", "label": "claim", "split": "test"},
    )
    with pytest.raises(InputError, match="of 1 new sentence, none is left to learn from"):
        merged(base, new)


def test_nothing_to_test_with_is_refused_before_anything_is_trained(tmp_path):
    row = {"text": "تبنت كتائب السدرة تفجير الجسر.", "label": "claim", "split": "train"}
    base = json_lines(tmp_path / "base.jsonl", row | {"text": "نفى الجيش قصف القرية."})
    new = json_lines(tmp_path / "new.jsonl", row)
    with pytest.raises(InputError, match="no sentence is in the test"):
        merged(base, new)
