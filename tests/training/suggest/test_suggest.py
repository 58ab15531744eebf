"""`rasd suggest`: which sentences it picks, and that what it writes can be labelled and read."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from serving.bundle import Bundle
from serving.cli import main
from serving.errors import InputError
from serving.label_studio import read_configuration
from serving.records import Record
from serving.text.normalize import NORMALIZERS
from training.labelled.reading import read_labelled
from training.suggest.choose import choose
from training.suggest.shortlist import shortlist, uncertainty

ROOT = Path(__file__).parents[3]
NAMES = ("claim", "denial", "other")


def record(number: int, label: str, probability: float, text: str | None = None) -> Record:
    """A record whose second label is the only other one with a probability."""
    rest = iter((1 - probability, 0.0))
    shares = {name: probability if name == label else next(rest) for name in NAMES}
    text = text or f"جملة {number}"
    return Record(str(number), 0, 0, len(text), text, label, probability, False, shares, "m@1")


drawn_records = st.lists(
    st.tuples(st.sampled_from(NAMES), st.floats(0.51, 1.0)), min_size=1, max_size=60
).map(lambda drawn: [record(i, label, share) for i, (label, share) in enumerate(drawn)])


@given(drawn_records, st.integers(1, 20))
def test_a_shortlist_is_what_sorting_everything_would_give(records, size):
    kept = shortlist(records, size, key=str)
    for label in NAMES:
        ranked = sorted((r for r in records if r.label == label), key=uncertainty, reverse=True)
        assert kept.get(label, []) == ranked[:size]


@given(drawn_records, st.integers(1, 20))
def test_a_shortlist_has_no_two_texts_with_the_same_key(records, size):
    kept = shortlist(records, size, key=lambda text: text[-1])
    for found in kept.values():
        assert len({r.text[-1] for r in found}) == len(found) <= size


@settings(deadline=None, max_examples=30)
@given(drawn_records, st.integers(1, 40))
def test_no_label_gets_more_places_than_a_rarer_one_left_over(records, count):
    distinct = [
        record(
            i, r.label, r.probability, " ".join(chr(0x627 + (i * 7 + j) % 26) * 4 for j in range(6))
        )
        for i, r in enumerate(records)
    ]
    kept = shortlist(distinct, 5 * count, key=str)
    chosen = choose(kept, count, seed=0)
    assert len(chosen) <= count
    assert len({r.doc_id for r in chosen}) == len(chosen)
    assert chosen == sorted(chosen, key=uncertainty, reverse=True)
    assert chosen == choose(kept, count, seed=0)


def test_a_rare_label_gets_as_many_places_as_a_common_one(authored):
    texts = [row["text"] for row in authored[:330]]
    records = [record(i, "other", 0.6, text) for i, text in enumerate(texts[:300])]
    records += [record(300 + i, "denial", 0.9, text) for i, text in enumerate(texts[300:])]
    chosen = choose(shortlist(records, 100, key=str), 20, seed=0)
    assert sum(r.label == "denial" for r in chosen) == 10
    assert len(chosen) == 20


def test_places_that_a_monotonous_label_leaves_go_to_the_others(authored):
    texts = [row["text"] for row in authored if row["label"] == "denial"][:60]
    records = [record(number, "denial", 0.6, text) for number, text in enumerate(texts)]
    weather = "يسود اليوم طقس صاف في العاصمة والمدن الساحلية مع رياح خفيفة إلى معتدلة السرعة ليلا"
    records += [record(100 + n, "other", 0.6, f"{weather} يوم {n}") for n in range(90)]
    chosen = choose(shortlist(records, 90, key=str), 40, seed=0)
    assert len(chosen) == 40
    assert sum(each.label == "denial" for each in chosen) > 30


def test_near_identical_sentences_are_suggested_once():
    sentence = "نفت وزارة الدفاع صحة الأنباء المتداولة عن سقوط طائرة تابعة لها في الصحراء الشرقية"
    records = [record(i, "denial", 0.6 + i / 1000, f"{sentence} يوم {i}") for i in range(40)]
    records.append(record(99, "denial", 0.9, "قال الناطق إن لا علاقة للجيش بما جرى في الميناء."))
    chosen = choose(shortlist(records, 50, key=str), 10, seed=0)
    assert [r.doc_id for r in chosen] == ["0", "99"]


# --- The command, with the model that ships ------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory, authored) -> Path:
    path = tmp_path_factory.mktemp("archive") / "news.jsonl"
    rows = [{"id": row["id"], "text": row["text"]} for row in authored[:120]]
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def suggest(*arguments: object) -> int:
    return main(["suggest", *map(str, arguments), "--model", "fast", "--unit", "sentence"])


@pytest.fixture(scope="module")
def tasks(archive) -> Path:
    path = archive.with_name("tasks.json")
    assert suggest(archive, "-n", 15, "-o", path) == 0
    return path


def test_label_studio_tasks_come_back_as_labelled_sentences(tasks, tmp_path):
    scheme = Bundle.load("fast").scheme
    exported = json.loads(tasks.read_text("utf-8"))
    assert len(exported) == 15
    for number, task in enumerate(exported):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == Bundle.load("fast").manifest.model
        assert 0.2 <= prediction["score"] <= 1
        # What Label Studio adds when an annotator accepts the prediction.
        task["id"] = number
        task["annotations"] = [{"result": prediction["result"]}]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported, ensure_ascii=False), "utf-8")
    read = read_labelled([path], scheme, NORMALIZERS["light"].apply).sentences
    assert [(s.text, s.label, s.id) for s in read] == [
        (
            t["data"]["text"],
            t["predictions"][0]["result"][0]["value"]["choices"][0],
            t["data"]["id"],
        )
        for t in exported
    ]


def test_predictions_fit_the_labelling_configuration_beside_them(tasks):
    scheme = Bundle.load("fast").scheme
    control = read_configuration(tasks.with_suffix(".xml").read_text("utf-8"), scheme)
    for task in json.loads(tasks.read_text("utf-8")):
        assert control.text(task["data"])
        result = task["predictions"][0]["result"]
        (label,) = control.chosen(result)
        assert label in scheme.names
        assert result == control.result(label)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_file_is_refused_until_its_labels_are_filled_in(archive, tmp_path, suffix):
    results = tmp_path / f"results{suffix}"
    assert main(["classify", str(archive), "-o", str(results), "--model", "fast"]) == 0
    out = tmp_path / f"todo{suffix}"
    assert suggest(results, "-n", 10, "-o", out) == 0
    scheme, normalize = Bundle.load("fast").scheme, NORMALIZERS["light"].apply
    with pytest.raises(InputError, match="'label' is empty"):
        read_labelled([out], scheme, normalize)
    if suffix == ".csv":
        rows = list(csv.DictReader(out.read_text("utf-8-sig").splitlines()))
    else:
        rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    filled = tmp_path / "filled.jsonl"
    filled.write_text("".join(json.dumps(r | {"label": "denial"}) + "\n" for r in rows), "utf-8")
    read = read_labelled([filled], scheme, normalize).sentences
    assert [s.text for s in read] == [row["text"] for row in rows]
    assert len(read) == 10


def test_no_cell_of_a_csv_file_runs_as_a_formula_and_every_text_is_read_back(tmp_path):
    texts = ["=HYPERLINK(0) نفت الوزارة القصف.", "@user تبنت الجماعة الهجوم."]
    news, out = tmp_path / "news.jsonl", tmp_path / "todo.csv"
    rows = [{"id": f"={number}", "text": text} for number, text in enumerate(texts)]
    news.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert suggest(news, "-n", 2, "-o", out) == 0
    table = out.read_text("utf-8-sig")
    found = list(csv.DictReader(table.splitlines()))
    assert sorted(row["text"] for row in found) == sorted(f"'{text}" for text in texts)
    assert sorted(row["id"] for row in found) == ["'=0#0", "'=1#0"]
    out.write_text(table.replace(",,", ",denial,"), "utf-8")
    read = read_labelled([out], Bundle.load("fast").scheme, NORMALIZERS["light"].apply).sentences
    assert sorted(s.text for s in read) == sorted(texts)


def test_a_csv_file_of_a_text_with_a_nul_can_be_read(tmp_path):
    news, out = tmp_path / "news.jsonl", tmp_path / "todo.csv"
    news.write_text(json.dumps({"text": "نفت الوزارة\0 القصف."}), "utf-8")
    assert suggest(news, "-n", 1, "-o", out) == 0
    out.write_text(out.read_text("utf-8-sig").replace(",,", ",denial,"), "utf-8")
    read = read_labelled([out], Bundle.load("fast").scheme, NORMALIZERS["light"].apply).sentences
    assert [s.text for s in read] == ["نفت الوزارة? القصف."]


def test_a_text_in_another_usual_field_is_found_and_said(archive, tmp_path, capsys):
    other = tmp_path / "body.jsonl"
    other.write_text(archive.read_text("utf-8").replace('"text": ', '"body": '), "utf-8")
    for source, name in ((archive, "a.csv"), (other, "b.csv")):
        assert suggest(source, "-n", 12, "-o", tmp_path / name) == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert "rasd: 120 documents: text from the field 'body'\n" in capsys.readouterr().err


def test_results_are_chosen_from_as_the_archive_itself(archive, tmp_path):
    results = tmp_path / "results.jsonl"
    options = ["-o", str(results), "--model", "fast", "--unit", "sentence"]
    assert main(["classify", str(archive), *options]) == 0
    for source, name in ((archive, "a.jsonl"), (results, "b.jsonl")):
        assert suggest(source, "-n", 12, "-o", tmp_path / name) == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"probabilities": {"yes": 0.4, "no": 0.6}}, "its labels are yes, no"),
        ({"probabilities": "much"}, "not a result"),
        ({"start": "here"}, "start"),
        ({"text": " ", "label": None, "error": "nothing"}, "no sentence to choose from"),
    ],
)
def test_damaged_results_are_refused_in_two_lines(tmp_path, capsys, change, what):
    row = record(1, "denial", 0.6).as_dict() | change
    path, out = tmp_path / "r.jsonl", tmp_path / "out.json"
    path.write_text(json.dumps(row), "utf-8")
    assert suggest(path, "-o", out) == 2
    error = capsys.readouterr().err
    assert what in error and len(error.splitlines()) == 2
    assert not out.exists()


@pytest.mark.parametrize("name", ["tasks.xlsx", "missing/tasks.json", "news.jsonl"])
def test_a_bad_output_is_refused_before_anything_is_read(archive, tmp_path, capsys, name):
    source = tmp_path / "news.jsonl"
    shutil.copyfile(archive, source)
    assert suggest(source, "-o", tmp_path / name) == 2
    assert name.split("/")[0] in capsys.readouterr().err
    assert source.read_bytes() == archive.read_bytes()


def test_results_with_a_label_that_the_model_lacks_are_refused(archive, tmp_path, capsys):
    results = tmp_path / "results.jsonl"
    options = ["-o", str(results), "--model", "fast", "--unit", "sentence"]
    assert main(["classify", str(archive), *options]) == 0
    first, *others = results.read_text("utf-8").splitlines()
    strange = json.dumps(json.loads(first) | {"label": "rumour"}, ensure_ascii=False)
    results.write_text("\n".join([strange, *others]), "utf-8")
    assert suggest(results, "-n", 5, "-o", tmp_path / "todo.csv") == 2
    assert "other, rumour" in capsys.readouterr().err
    assert not (tmp_path / "todo.csv").exists()
