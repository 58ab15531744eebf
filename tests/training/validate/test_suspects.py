"""`rasd validate --deep`: doubtful labels and near-identical sentences."""

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

from serving.errors import InputError
from serving.labels import LabelScheme
from training.validate.confident_learning import suspects
from training.validate.near_duplicates import Twins, groups, near_identical
from training.validate.suspects import COLUMNS, FOLDS, find, out_of_fold, validate_deep

ROOT = Path(__file__).parents[3]
SCHEME = LabelScheme.read(ROOT / "configs" / "labels.yaml")


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def test_flipped_labels_are_found_and_come_first():
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 600)
    vectors = np.eye(3)[truth] * 4 + random.normal(size=(600, 3))
    labels = truth.copy()
    flipped = random.choice(600, 30, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 3
    found = suspects(labels, out_of_fold(vectors, labels, np.arange(600), c=1))
    hits = len(set(found.tolist()) & set(flipped.tolist()))
    assert hits >= 20
    assert hits >= 0.9 * len(found)


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, 3), min_size=n, max_size=n),
            st.lists(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), min_size=n, max_size=n),
        )
    )
)
def test_no_label_is_doubted_that_is_the_most_probable(drawn):
    labels = np.array(drawn[0])
    scores = np.array(drawn[1])
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    found = suspects(labels, probabilities)
    assert len(set(found)) == len(found)
    own = probabilities[np.arange(len(labels)), labels]
    assert all(own[row] < probabilities[row].max() for row in found)
    ranked = own - np.where(np.eye(4)[labels] > 0, -1, probabilities).max(1)
    assert all(a <= b for a, b in pairwise(ranked[found]))


def test_near_identical_sentences_never_stand_on_both_sides_of_a_fold():
    texts = [
        "قتل سبعة جنود في انفجار عبوة ناسفة قرب المعبر الشرقي فجر اليوم",
        "افتتح الوزير معرض الكتاب السنوي بحضور ناشرين من عشرين بلدا",
        "قتل ثمانية جنود في انفجار عبوة ناسفة قرب المعبر الشرقي فجر اليوم",
        "قتل ثمانية جنود في انفجار عبوة ناسفة قرب المعبر الشرقي فجر أمس",
    ]
    pairs = near_identical(texts)
    group = groups(pairs, len(texts))
    assert group[0] == group[2] == group[3] != group[1]
    assert all(pair.first < pair.second for pair in pairs)

    # Each label's sentences are copies of one another: with leaks every guess would be right.
    random = np.random.default_rng(0)
    vectors = np.repeat(random.normal(size=(20, 8)), 10, axis=0)
    labels = np.repeat(np.arange(20) % 2, 10)
    probabilities = out_of_fold(vectors, labels, np.repeat(np.arange(20), 10), c=1)
    assert (probabilities.argmax(1) == labels).mean() < 0.95
    assert FOLDS == 5


def test_a_conflict_is_told_of_the_row_that_the_probabilities_like_less():
    labels = np.array([0, 1, 0, 0])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.7, 0.3]])
    pairs = [Twins(0, 1, 0.99), Twins(2, 3, 0.9)]
    findings = find(labels, probabilities, pairs)
    assert [(f.kind, f.row, f.suggested) for f in findings] == [
        ("conflict", 1, 0),
        ("duplicate", 3, 0),
    ]


def test_the_file_is_one_that_an_annotator_can_work_through(
    authored, tiny_encoder, tmp_path, capsys
):
    rows = [{"text": row["text"], "label": row["label"]} for row in authored[:150]]
    denial = next(row for row in rows if row["label"] == "denial")
    rows.append({"text": denial["text"] + "!", "label": "claim"})
    out = tmp_path / "suspects.csv"
    validate_deep([write(tmp_path / "a.jsonl", rows)], SCHEME, out, str(tiny_encoder))
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    with out.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert [int(row["rank"]) for row in table] == list(range(1, len(table) + 1))
    (conflict,) = (row for row in table if row["kind"] == "conflict")
    assert {conflict["label"], conflict["twin_label"]} == {"denial", "claim"}
    assert conflict["suggested"] == conflict["twin_label"]
    assert {int(conflict["line"]), int(conflict["twin_line"])} == {151, rows.index(denial) + 1}
    assert "1 near-duplicate with another label" in capsys.readouterr().out


def test_an_encoder_folder_that_is_missing_is_named(authored, tmp_path):
    data = write(tmp_path / "a.jsonl", authored)
    with pytest.raises(InputError, match=r"no folder .*runs/absent/checkpoint"):
        validate_deep([data], SCHEME, None, "./runs/absent/checkpoint")


def test_too_few_sentences_are_refused(authored, tiny_encoder, tmp_path):
    data = write(tmp_path / "a.jsonl", authored[:20])
    with pytest.raises(InputError, match=r"too little data for --deep: .* has \d"):
        validate_deep([data], SCHEME, tmp_path / "out.csv", str(tiny_encoder))
    assert not (tmp_path / "out.csv").exists()


def test_a_label_whose_sentences_are_all_near_identical_is_refused(authored, tmp_path):
    said = "نفت وزارة الدفاع اليوم صحة الأنباء عن سقوط طائرة تابعة لها في الصحراء"
    alike = [{"text": f"{said} {number}", "label": "denial"} for number in range(10)]
    others = [row for row in authored if row["label"] == "other"][:15]
    file = write(tmp_path / "alike.jsonl", [*alike, *others])
    with pytest.raises(InputError, match="all sentences of denial are near-identical"):
        validate_deep([file], SCHEME, None)


def test_a_folder_in_place_of_the_findings_is_refused_at_once(authored, tmp_path):
    file = write(tmp_path / "few.jsonl", authored[:30])
    with pytest.raises(InputError, match="a folder, not a file"):
        validate_deep([file], SCHEME, tmp_path)
