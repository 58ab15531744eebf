"""Labels as annotation tools export them: each file in `exports/` holds the same sentences.

The files are written by hand in the form that each tool documents.
"""

import json
from pathlib import Path

import pytest
from labelled_files import json_lines, read, refused

from training.labelled.annotation_tools import FormError, part

EXPORTS = Path(__file__).parent / "exports"
SENTENCES = [
    ("انفجرت عبوة ناسفة قرب سوق السدرة وأصيب أربعة باعة.", "attack_report"),
    ("تبنت كتائب السدرة تفجير الجسر الحديدي.", "claim"),
    ("نفى المجلس المحلي أن يكون الجسر قد أغلق 🚧 أمام الأهالي.", "denial"),
]
CLAIM = SENTENCES[1][0]


@pytest.mark.parametrize("file", sorted(EXPORTS.iterdir()), ids=lambda path: path.name)
def test_every_export_reads_to_the_same_sentences(file):
    data = read(file)
    assert [(s.text, s.label) for s in data.sentences] == SENTENCES


def test_labels_in_another_form_are_read_and_said():
    warnings = "\n".join(read(EXPORTS / "names.jsonl").warnings)
    assert "label 'تقرير عن هجوم' read as attack_report: 1 time" in warnings
    assert "label 'Claim' read as claim" in warnings
    assert "label '2' read as denial" in warnings


@pytest.mark.parametrize("digit", ["2", "٢", "۲", "२", "２", "\u200f٢\u200f"])
def test_a_number_is_read_in_the_digits_of_any_script(tmp_path, digit):
    (sentence,) = read(json_lines(tmp_path / "a.jsonl", {"text": CLAIM, "label": digit})).sentences
    assert sentence.label == "denial"


@pytest.mark.parametrize("number", ["٥", "٢٢", "٢.٠", "-٢", "٢٫٥"])
def test_a_number_that_no_label_has_is_refused(tmp_path, number):
    error = refused(json_lines(tmp_path / "a.jsonl", {"text": CLAIM, "label": number}))
    assert "unknown label" in error.problem


@pytest.mark.parametrize(
    "name", ["prodigy_choice.jsonl", "prodigy_textcat.jsonl", "argilla_1.json"]
)
def test_what_nobody_labelled_is_counted(name):
    assert any("skipped 1 record without a label" in w for w in read(EXPORTS / name).warnings)


SEVERAL = {
    "doccano": {"text": CLAIM, "label": ["claim", "denial"]},
    "prodigy": {"text": CLAIM, "accept": ["claim", "denial"], "answer": "accept"},
    "label studio min": {"text": CLAIM, "label": {"choices": ["claim", "denial"]}},
    "argilla 1": {"text": CLAIM, "annotation": ["claim", "denial"], "prediction": None},
    "argilla 2": {
        "fields": {"text": CLAIM},
        "responses": {"label": [{"value": ["claim", "denial"], "user_id": "a"}]},
    },
}


@pytest.mark.parametrize("form", SEVERAL)
def test_records_with_several_labels_are_refused_with_their_number(form, tmp_path):
    file = json_lines(tmp_path / "a.jsonl", SEVERAL[form], SEVERAL[form])
    assert str(refused(file)) == (
        f"{file}: 2 records with several labels, the first is {file}: line 1\n"
        "Choose one label per sentence."
    )


WRONG = {
    "span outside the text": (
        {"text": CLAIM, "label": [[0, 500, "claim"]]},
        "a span from 0 to 500, of a text of 38 characters",
    ),
    "span backwards": ({"text": CLAIM, "label": [[9, 3, "claim"]]}, "a span from 9 to 3"),
    "span of another text": (
        {"text": CLAIM, "label": [{"start": 0, "end": 4, "text": "نفت", "labels": ["claim"]}]},
        "is not the text that it quotes",
    ),
    "unknown answer": (
        {"text": CLAIM, "accept": ["claim"], "answer": "yes"},
        "'answer' is 'yes', not accept, reject or ignore",
    ),
    "two questions": (
        {
            "fields": {"text": CLAIM},
            "responses": {"label": [{"value": "claim"}], "topic": [{"value": "war"}]},
        },
        "questions 'label', 'topic'",
    ),
    "text elsewhere": (
        {"fields": {"sentence": CLAIM}, "responses": {"label": [{"value": "claim"}]}},
        "'fields' has no text 'text'; it has 'sentence'",
    ),
    "unknown label": ({"text": CLAIM, "label": ["clame"]}, 'unknown label "clame"'),
    "number without a label": ({"text": CLAIM, "label": 5}, 'unknown label "5"'),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_record_is_named_in_two_lines(name, tmp_path):
    record, problem = WRONG[name]
    error = refused(json_lines(tmp_path / "a.jsonl", record))
    assert problem in error.problem
    assert "line 1" in error.problem
    assert len(str(error).splitlines()) == 2


def test_one_of_two_questions_is_named(tmp_path):
    file = json_lines(tmp_path / "a.jsonl", WRONG["two questions"][0])
    assert [s.label for s in read(file, label="label").sentences] == ["claim"]


def annotated(tmp_path, *labels):
    """One sentence after another, each with the labels of several annotators."""
    rows = [
        {
            "fields": {"text": f"{CLAIM} {number}"},
            "responses": {
                "label": [
                    {"value": label, "user_id": f"user-{who}"} for who, label in enumerate(given)
                ]
            },
        }
        for number, given in enumerate(labels)
    ]
    return json_lines(tmp_path / "a.jsonl", *rows)


def test_two_annotators_agreement_is_cohens_kappa(tmp_path):
    from sklearn.metrics import cohen_kappa_score

    first = ["claim", "claim", "denial", "other", "claim", "denial"]
    second = ["claim", "denial", "denial", "other", "claim", "claim"]
    file = annotated(tmp_path, *zip(first, second, strict=True))
    kappa = cohen_kappa_score(first, second)
    (said,) = [w for w in read(file, conflicts="majority").warnings if "kappa" in w]
    assert said == (
        "annotators: 2 annotators labelled 6 sentences in common and agree on 4; "
        f"Cohen's kappa {kappa:.2f}"
    )


def test_annotators_that_an_export_numbers_are_told_apart(tmp_path):
    rows = [
        {"id": 1, "text": CLAIM, "label": label, "annotator": who, "annotation_id": who}
        for who, label in ((1, "claim"), (2, "denial"))
    ]
    warnings = read(json_lines(tmp_path / "a.jsonl", *rows), conflicts="majority").warnings
    assert any("2 annotators labelled 1 sentence in common and agree on 0" in w for w in warnings)


def test_more_annotators_agreement_is_fleiss_kappa(tmp_path):
    file = annotated(tmp_path, ("claim",) * 3, ("denial",) * 3, ("claim", "claim", "denial"))
    # Observed: (1 + 1 + 1/3) / 3 = 7/9. By chance: (5/9)**2 + (4/9)**2 = 41/81.
    kappa = (7 / 9 - 41 / 81) / (1 - 41 / 81)
    (said,) = [w for w in read(file, conflicts="majority").warnings if "kappa" in w]
    assert f"agree on 2; Fleiss' kappa {kappa:.2f}" in said


def test_the_newest_of_several_labels_is_kept_where_every_one_has_a_date(tmp_path):
    rows = [
        {"text": CLAIM, "label": "claim", "date": "2026-03-01"},
        {"text": CLAIM, "label": "denial", "date": "2026-03-02T08:00:00Z"},
    ]
    file = json_lines(tmp_path / "a.jsonl", *rows)
    assert [s.label for s in read(file, conflicts="newest").sentences] == ["denial"]
    undated = json_lines(tmp_path / "b.jsonl", *rows, {"text": CLAIM, "label": "other"})
    assert read(undated, conflicts="newest").sentences == []


def test_a_second_label_is_read_and_an_unknown_one_refused(tmp_path):
    row = {"text": CLAIM, "label": "claim", "sure": False, "second": "Denial"}
    (sentence,) = read(json_lines(tmp_path / "a.jsonl", row)).sentences
    assert (sentence.label, sentence.second, sentence.sure) == ("claim", "denial", False)
    error = refused(json_lines(tmp_path / "b.jsonl", row | {"second": "deny"}))
    assert "unknown label \"deny\" in 'second'" in error.problem


QUOTED = {"start": 0, "end": 99, "label": "claim", "text": "x"}


@pytest.mark.parametrize(
    "row",
    [
        {"text": f"\ud83d{CLAIM}", "label": [[0, 99, "claim"]]},
        {"text": f"\ud83d{CLAIM}", "answer": "accept", "spans": [QUOTED]},
        {"fields": {"text": CLAIM}, "responses": ["claim"]},
        {"fields": {"text": CLAIM}, "responses": [{"values": ["claim"]}]},
        {"fields": {"text": CLAIM}, "responses": [{"values": {"label": "claim"}}]},
        {"fields": {"text": CLAIM}, "responses": {"label": "claim"}},
        {"fields": {"text": CLAIM}, "responses": {"label": ["claim"]}},
        {"fields": {"text": CLAIM}, "responses": {"label": 3}},
        {"text": CLAIM, "label.responses": "['claim']"},  # as a CSV file has it
        {"text": CLAIM, "label.responses": 3},
        {"text": CLAIM, "label.responses": ["claim"], "label.responses.users": ["a", "b"]},
        {"text": CLAIM, "label.responses": ["claim"], "label.responses.status": "submitted"},
    ],
)
def test_a_record_that_is_not_of_its_tools_form_is_refused_with_its_line(tmp_path, row):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")  # half a surrogate pair as an escape
    error = refused(path)
    assert "a.jsonl: line 1: " in error.problem
    assert error.remedy == "Export the records again."


@pytest.mark.parametrize("labels", [None, 5, "claim"])
def test_a_label_studio_part_whose_labels_are_no_list_is_refused(tmp_path, labels):
    value = {"start": 0, "end": 4, "labels": labels}
    result = {"type": "labels", "from_name": "l", "to_name": "text", "value": value}
    task = {"id": 1, "data": {"text": CLAIM}, "annotations": [{"result": [result]}]}
    error = refused(json_lines(tmp_path / "a.jsonl", task))
    assert "value.labels is not a list" in error.problem
    del value["labels"]
    assert not read(json_lines(tmp_path / "a.jsonl", task)).sentences


def test_the_export_files_are_json_as_the_tools_write_it():
    for file in EXPORTS.glob("*.json"):
        assert isinstance(json.loads(file.read_text(encoding="utf-8")), list), file


def test_half_a_character_is_no_reason_to_fail_otherwise():
    with pytest.raises(FormError, match="is not the text that it quotes"):
        part("\ud800 قال", 0, 9, "قال")


@pytest.mark.parametrize(
    ("gap", "quoted"), [("  ", " "), ("\n", "\\n"), ("\r\n", "\n\n"), ("\u00a0 ", " ")]
)
@pytest.mark.parametrize("before", ["", "🚧 "])
def test_a_part_is_found_though_its_quotation_has_the_spaces_of_a_page(before, gap, quoted):
    text = f"{before}{CLAIM}{gap}{CLAIM} {SENTENCES[0][0]}"
    start = len(before.encode("utf-16-le")) // 2
    end = start + 2 * len(CLAIM) + len(gap)
    assert part(text, start, end, f"{CLAIM}{quoted}{CLAIM}") == f"{CLAIM}{gap}{CLAIM}"
    with pytest.raises(FormError, match="is not the text that it quotes"):
        part(text, start + 1, end, f"{CLAIM}{quoted}{CLAIM}")


def result(control, kind, value):
    return {"from_name": control, "to_name": "text", "type": kind, "value": value}


def of_label_studio(path, text, *results):
    task = {"id": 1, "data": {"text": text}, "annotations": [{"id": 1, "result": list(results)}]}
    path.write_text(json.dumps([task], ensure_ascii=False), encoding="utf-8")
    return path


def test_a_task_with_a_choice_and_labels_is_read_by_the_control_that_is_named(tmp_path):
    text = f"{CLAIM} {SENTENCES[0][0]}"
    part_of_it = {"start": 0, "end": len(CLAIM), "text": CLAIM, "labels": ["claim"]}
    file = of_label_studio(
        tmp_path / "a.json",
        text,
        result("quality", "choices", {"choices": ["good"]}),
        result("kind", "labels", part_of_it),
    )
    (sentence,) = read(file, label="kind").sentences
    assert (sentence.text, sentence.label) == (CLAIM, "claim")


def test_a_choice_for_a_part_of_the_text_labels_that_part(tmp_path):
    text = f"{CLAIM} {SENTENCES[0][0]}"
    chosen = {"start": 0, "end": len(CLAIM), "text": CLAIM, "choices": ["claim"]}
    (sentence,) = read(
        of_label_studio(tmp_path / "a.json", text, result("kind", "choices", chosen))
    ).sentences
    assert (sentence.text, sentence.label) == (CLAIM, "claim")


def test_prodigys_annotators_and_times_settle_a_conflict(tmp_path):
    rows = [
        {
            "text": CLAIM,
            "accept": [label],
            "answer": "accept",
            "_annotator_id": f"desk-{annotator}",
            "_timestamp": seconds,
        }
        for label, annotator, seconds in (("claim", "a", 1700000000), ("denial", "b", 1700000100))
    ]
    data = read(json_lines(tmp_path / "a.jsonl", *rows), conflicts="newest")
    assert [sentence.label for sentence in data.sentences] == ["denial"]
    assert any("kappa" in warning for warning in data.warnings)


def test_spans_that_a_pattern_matched_do_not_hide_prodigys_label(tmp_path):
    row = {"text": CLAIM, "label": "claim", "answer": "accept", "spans": [{"start": 0, "end": 4}]}
    (sentence,) = read(json_lines(tmp_path / "a.jsonl", row)).sentences
    assert (sentence.text, sentence.label) == (CLAIM, "claim")
