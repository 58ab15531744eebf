"""Labelled files: what is read, and what becomes of one text with two labels."""

import csv
import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_files import (
    LIGHT,
    SCHEME,
    json_lines,
    label_studio,
    read,
    refused,
    task,
)

from serving.files.fields import USUAL_TEXT_FIELDS

ATTACK = "سقطت قذيفتان على سوق الخضار في بلدة النخيل."
DENIAL = "نفت كتائب السدرة صلتها بتفجير الجسر."
CLAIM = "تبنت كتائب السدرة تفجير الجسر."


# --- What is read ------------------------------------------------------------------------------


def test_json_lines_with_optional_and_unknown_fields(tmp_path: Path) -> None:
    file = json_lines(
        tmp_path / "a.jsonl",
        {"text": ATTACK, "label": "attack_report", "register": "wire"},
        {"text": DENIAL, "label": "denial", "id": 7, "source": "wire", "date": "2026-01-02"}
        | {"split": "validation", "sure": False},
    )
    first, second = read(file).sentences
    assert (first.text, first.label, first.id, first.split, first.sure) == (
        ATTACK,
        "attack_report",
        None,
        None,
        True,
    )
    assert (second.id, second.source, second.date) == ("7", "wire", "2026-01-02")
    assert (second.split, second.sure, second.file, second.line) == ("validation", False, file, 2)


def test_a_line_ends_at_a_newline_only(tmp_path: Path) -> None:
    text = "قال\u2028الشاهد\u0085إن القصف توقف"
    file = json_lines(
        tmp_path / "a.jsonl",
        {"text": text, "label": "attack_report"},
        {"text": DENIAL, "label": "denial"},
    )
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n\r\n"))
    first, second = read(file).sentences
    assert (first.text, first.line, second.line) == (text, 1, 3)


def test_csv_with_a_line_break_in_a_cell(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(
        'id,text,label,sure\r\n1,"سطر أول\nوسطر ""ثان""",other,\r\n'
        f"\r\n2,{DENIAL},denial,FALSE\r\n",
        encoding="utf-8-sig",
        newline="",
    )
    first, second = read(file).sentences
    assert (first.text, first.line, first.sure) == ('سطر أول\nوسطر "ثان"', 2, True)
    assert (second.text, second.line, second.sure, second.id) == (DENIAL, 5, False, "2")


def test_csv_whose_cells_part_at_semicolons(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f'text;label\n"{DENIAL}; نعم, لا";denial\n', encoding="utf-8-sig")
    (only,) = read(file).sentences
    assert (only.text, only.label) == (f"{DENIAL}; نعم, لا", "denial")


@pytest.mark.parametrize("name", USUAL_TEXT_FIELDS[1:])
def test_another_usual_field_with_the_text_is_read_and_said(tmp_path: Path, name: str) -> None:
    lines = json_lines(tmp_path / "a.jsonl", {name: CLAIM, "label": "claim", "url": "a"})
    cells = tmp_path / "a.csv"
    cells.write_text(f"id;{name};label\n1;{CLAIM};claim\n", encoding="utf-8")
    for file in (lines, cells):
        data = read(file)
        assert [(s.text, s.label) for s in data.sentences] == [(CLAIM, "claim")]
        said = f"{file}: no field 'text': text read from the field {name!r}, 1 times"
        assert data.warnings == [said]
        assert read(file, text=name).warnings == []


def test_a_field_text_and_a_field_that_is_asked_for_come_first(tmp_path: Path) -> None:
    row = {"text": CLAIM, "body": DENIAL, "label": "claim"}
    file = json_lines(tmp_path / "a.jsonl", row)
    assert [s.text for s in read(file).sentences] == [CLAIM]
    assert read(file).warnings == []
    assert "no field 'content'; the fields are" in refused(file, text="content").problem


def test_two_usual_fields_are_not_guessed_from(tmp_path: Path) -> None:
    row = {"body": CLAIM, "content": DENIAL, "label": "claim"}
    lines = json_lines(tmp_path / "a.jsonl", row)
    cells = tmp_path / "a.csv"
    cells.write_text(f"body,content,label\n{CLAIM},{DENIAL},claim\n" * 2, encoding="utf-8")
    for file in (lines, cells):
        error = refused(file)
        what = "line 1: no field 'text'; the fields are 'body', 'content', 'label'"
        assert error.problem == f"{file}: {what}"
        assert error.remedy.startswith("Name the right one with --text-field")


def test_the_field_of_the_label_is_not_taken_for_the_text(tmp_path: Path) -> None:
    file = json_lines(tmp_path / "a.jsonl", {"content": "claim", "body": CLAIM})
    assert [(s.text, s.label) for s in read(file, label="content").sentences] == [(CLAIM, "claim")]
    alone = json_lines(tmp_path / "b.jsonl", {"content": "claim"})
    assert "no field 'text'" in refused(alone, label="content").problem


def test_label_studio_skips_what_nobody_labelled(tmp_path: Path) -> None:
    linked = task(1, ATTACK, "attack_report", "attack_report")
    linked["annotations"][0]["result"].append({"type": "relation", "from_id": "a", "to_id": "b"})
    file = label_studio(
        tmp_path / "export.json",
        linked,
        task(2, "لم يقرأها أحد."),
        task(3, "ألغاها المراجع.", "claim", was_cancelled=True),
    )
    data = read(file)
    assert [(s.text, s.label, s.id) for s in data.sentences] == [(ATTACK, "attack_report", "1")]
    assert data.warnings == [f"{file}: skipped 2 tasks that nobody has labelled"]


def elsewhere(control: str = "label", to_name: str = "text") -> dict:
    """A task whose text is not under `text`, and whose first string is not the text."""
    found = task(4, CLAIM, "claim")
    found["data"] = {"url": "https://example.org/a", "sentence": CLAIM, "date": "2026-03-01"}
    found["annotations"][0]["result"][0] |= {"from_name": control, "to_name": to_name}
    return found


def test_label_studio_text_is_what_the_control_labels(tmp_path: Path) -> None:
    (only,) = read(label_studio(tmp_path / "a.json", elsewhere(to_name="sentence"))).sentences
    assert (only.text, only.date) == (CLAIM, "2026-03-01")


def test_label_studio_text_is_asked_for_rather_than_guessed(tmp_path: Path) -> None:
    file = label_studio(tmp_path / "a.json", elsewhere())
    error = refused(file)
    assert "task 4: 'data' has no text 'text'; it has 'url', 'sentence', 'date'" in error.problem
    assert "--text-field" in error.remedy
    (only,) = read(file, text="sentence").sentences
    assert (only.text, only.label) == (CLAIM, "claim")
    assert "no text 'body'" in refused(file, text="body").problem


def test_one_of_two_label_studio_controls_is_named(tmp_path: Path) -> None:
    both = task(1, CLAIM, "claim")
    topic = {"from_name": "topic", "to_name": "text", "type": "choices"}
    both["annotations"][0]["result"].append(topic | {"value": {"choices": ["other"]}})
    file = label_studio(tmp_path / "a.json", both)
    error = refused(file)
    assert "task 1: two controls, 'label', 'topic'" in error.problem
    assert "--label-field" in error.remedy
    assert [s.label for s in read(file, label="label").sentences] == ["claim"]
    assert [s.label for s in read(file, label="topic").sentences] == ["other"]
    assert "no control 'lable'; there is 'label', 'topic'" in refused(file, label="lable").problem


def test_a_second_label_studio_control_is_seen_where_it_is_used_alone(tmp_path: Path) -> None:
    other = task(2, ATTACK, "other")
    other["annotations"][0]["result"][0]["from_name"] = "topic"
    file = label_studio(tmp_path / "a.json", task(1, CLAIM, "claim"), other)
    assert "task 2: two controls" in refused(file).problem


def test_label_studio_boxes_are_named_as_what_they_are(tmp_path: Path) -> None:
    spans = task(5, CLAIM, "claim")
    spans["annotations"][0]["result"] = [
        {
            "from_name": "parts",
            "to_name": "text",
            "type": "rectanglelabels",
            "value": {"x": 0, "y": 4, "rectanglelabels": ["claim"]},
        }
    ]
    error = refused(label_studio(tmp_path / "a.json", spans))
    assert (
        "task 5: labels parts of the task (control 'parts', type rectanglelabels)" in error.problem
    )
    assert "Choices" in error.remedy


def test_text_and_label_may_have_other_names(tmp_path: Path) -> None:
    lines = json_lines(tmp_path / "a.jsonl", {"body": CLAIM, "kind": "claim", "text": "no"})
    table = tmp_path / "a.csv"
    table.write_text(f"id,kind,body\n1,claim,{CLAIM}\n", encoding="utf-8")
    for file in (lines, table):
        (only,) = read(file, text="body", label="kind").sentences
        assert (only.text, only.label) == (CLAIM, "claim")
        assert "no field 'bodi'" in refused(file, text="bodi", label="kind").problem


def test_a_json_array_of_labelled_sentences_is_read(tmp_path: Path) -> None:
    rows = [{"text": CLAIM, "label": "claim"}, {"text": DENIAL, "label": "denial"}]
    data = read(label_studio(tmp_path / "a.json", *rows, indent=1))
    assert [(s.label, s.line) for s in data.sentences] == [("claim", 2), ("denial", 6)]


def test_label_studio_tasks_know_their_lines(tmp_path: Path) -> None:
    file = label_studio(tmp_path / "export.json", task(1, ATTACK, "attack_report"), indent=1)
    (sentence,) = read(file).sentences
    assert file.read_text(encoding="utf-8").splitlines()[sentence.line - 1] == " {"
    broken = label_studio(tmp_path / "bad.json", task(8, ATTACK, "attack"))
    assert str(refused(broken)).startswith(f"{broken}: line 1: task 8: unknown label")


texts = st.text('ابتثنفيﻻ ،"\n,12', min_size=1, max_size=30).filter(
    lambda text: any(c.isalnum() for c in text)
)
pairs = st.dictionaries(
    texts.map(str.strip).map(LIGHT).filter(bool), st.sampled_from(SCHEME.names), min_size=1
)


@settings(deadline=None, max_examples=100)
@given(pairs=pairs, seed=st.integers(0, 99))
def test_every_form_holds_the_same(
    pairs: dict[str, str], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    items = list(pairs.items())
    lines = json_lines(folder / "a.jsonl", *({"text": t, "label": n} for t, n in items))
    random.Random(seed).shuffle(items)
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("label", "text"), *((n, t) for t, n in items)])
    table = folder / "a.csv"
    table.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    tasks = label_studio(folder / "a.json", *(task(i, t, n) for i, (t, n) in enumerate(items)))

    read_back = [read(file) for file in (lines, table, tasks)]
    for data in read_back:
        assert {sentence.text: sentence.label for sentence in data.sentences} == pairs
        assert sum(data.counts.values()) == len(pairs)
    assert len({data.fingerprint for data in read_back}) == 1


def test_the_fingerprint_changes_with_a_label_and_not_with_tashkeel(tmp_path: Path) -> None:
    one = read(json_lines(tmp_path / "1.jsonl", {"text": "نفى الجيش الخبر", "label": "denial"}))
    same = read(json_lines(tmp_path / "2.jsonl", {"text": "نَفى  الجيشُ الخبر", "label": "denial"}))
    other = read(json_lines(tmp_path / "3.jsonl", {"text": "نفى الجيش الخبر", "label": "other"}))
    assert one.fingerprint == same.fingerprint != other.fingerprint


# --- One text, one label -----------------------------------------------------------------------


def test_a_text_that_stands_twice_is_kept_once(tmp_path: Path) -> None:
    a = json_lines(tmp_path / "a.jsonl", {"text": ATTACK, "label": "attack_report"})
    b = json_lines(
        tmp_path / "b.jsonl",
        {"text": DENIAL, "label": "denial"},
        {"text": ATTACK.replace("قذيفتان", "قذيفتـــان"), "label": "attack_report"},
    )
    data = read(a, b)
    assert [sentence.text for sentence in data.sentences] == [ATTACK, DENIAL]
    assert data.warnings == [f"{b}: line 2: the same text and label as {a}: line 1: left out"]


def test_two_labels_for_one_text_stop_and_name_both_places(tmp_path: Path) -> None:
    a = json_lines(tmp_path / "a.jsonl", {"text": CLAIM, "label": "claim"})
    b = json_lines(tmp_path / "b.jsonl", {"text": CLAIM + " ", "label": "attack_report"})
    error = refused(a, b)
    assert error.problem == (
        f"{b}: line 1: the same text as {a}: line 1, there claim, here attack_report"
    )
    assert "data.conflicts" in error.remedy


@pytest.mark.parametrize(
    ("labels", "conflicts", "kept"),
    [
        (("claim", "denial", "denial"), "drop", []),
        (("claim", "denial", "denial"), "first", ["claim"]),
        (("claim", "denial", "denial"), "majority", ["denial"]),
        (("claim", "denial"), "majority", []),
        (("claim", "denial", "other", "denial", "claim"), "majority", []),
    ],
)
def test_conflicts_are_settled_as_asked(
    tmp_path: Path, labels: tuple[str, ...], conflicts: str, kept: list[str]
) -> None:
    rows = json_lines(tmp_path / "a.jsonl", *({"text": CLAIM, "label": n} for n in labels))
    tasks = label_studio(tmp_path / "a.json", task(1, CLAIM, *labels))
    for file in (rows, tasks):
        data = read(file, conflicts=conflicts)
        assert [sentence.label for sentence in data.sentences] == kept
        assert len(data.warnings) == 1
        assert ("kept as" if kept else "left out") in data.warnings[0]


def test_an_annotator_has_one_vote_though_two_files_hold_it(tmp_path: Path) -> None:
    trainee = {"text": CLAIM, "label": "claim", "annotator": "trainee"}
    editor = {"text": CLAIM, "label": "denial", "annotator": "editor"}
    export = json_lines(tmp_path / "export.jsonl", trainee, editor)
    older = json_lines(tmp_path / "older.jsonl", trainee)
    assert read(export, older, conflicts="majority").sentences == []
    third = json_lines(tmp_path / "third.jsonl", editor | {"annotator": "desk"})
    (kept,) = read(export, third, conflicts="majority").sentences
    assert kept.label == "denial"


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("splits", "kept"),
    [((None, "test"), "test"), (("train", "dev"), "dev"), (("dev", "test"), "test")],
)
def test_a_text_is_held_out_if_one_of_its_places_says_so(
    tmp_path: Path, splits: tuple[str | None, str], kept: str, order: int
) -> None:
    files = []
    for number, split in enumerate(splits):
        row = {"text": CLAIM, "label": "claim"} | ({"split": split} if split else {})
        files.append(json_lines(tmp_path / f"{number}.jsonl", row))
    (sentence,) = read(*files[::order]).sentences
    assert sentence.split == kept


def test_annotators_who_disagree_on_a_task_are_named(tmp_path: Path) -> None:
    file = label_studio(tmp_path / "a.json", task(31, CLAIM, "claim", "attack_report"))
    assert "task 31" in refused(file).problem


def test_text_that_looks_damaged_is_said_once_for_a_file(tmp_path):
    mojibake = "نفت الوزارة وقوع الهجوم.".encode().decode("cp1252", "replace")
    rows = [{"text": f"{mojibake} {n}", "label": "denial"} for n in range(3)]
    good = {"text": "نفى الجيش قصف القرية (AFP) — café.", "label": "denial"}
    data = read(json_lines(tmp_path / "a.jsonl", good, *rows))
    assert data.warnings == [
        f"{tmp_path / 'a.jsonl'}: texts that look damaged: 3, "
        "the first in line 2: decoded as a Western encoding"
    ]
    assert len(data.sentences) == 4
