"""`rasd report`: every figure is that of the results, whatever file they are in."""

import json
import random
import tracemalloc
from collections import Counter

import pytest

from serving.bundle import read_manifest, shipped_model
from serving.cli import main
from serving.report.results import find_results, read_results
from serving.report.summary import ROWS, Summary


@pytest.fixture
def report(tmp_path):
    """Run the command; return the figures."""

    def run(*results, status=0):
        page, figures = tmp_path / "report.html", tmp_path / "report.json"
        outputs = ["-o", str(page), "--json", str(figures)]
        assert main(["report", *map(str, results), *outputs]) == status
        return json.loads(figures.read_text("utf-8")) if status == 0 else page

    return run


def table(page):
    """The rows that the page holds."""
    html = page.read_text("utf-8").partition('<script type="application/json" id="data">')[2]
    return json.loads(html.partition("</script>")[0])["table"]


def test_the_figures_are_those_of_the_results(report, write_results):
    chance = random.Random(1)
    made = [
        {
            "text": f"جملة {number}",
            "label": chance.choice(["claim", "denial", "other"]),
            "probability": round(chance.random(), 4),
            "doc_id": f"d{number // 4}",
            "source": chance.choice(["أ", "ب"]),
            "date": f"2024-0{1 + number // 50}-1{number % 3}",
        }
        for number in range(200)
    ]
    figures = report(write_results(made))
    assert (figures["sentences"], figures["documents"]) == (200, 50)
    labels = Counter(each["label"] for each in made)
    assert {each["name"]: each["count"] for each in figures["labels"]} == labels
    assert figures["uncertain"] == sum(each["probability"] < 0.7 for each in made)
    for outlet in figures["outlets"]:
        of = Counter(each["label"] for each in made if each["source"] == outlet["name"])
        assert outlet["counts"] == of
    over_time = sum((Counter(row["counts"]) for row in figures["periods"]["rows"]), Counter())
    assert over_time == labels
    best = sorted(
        (each for each in made if each["label"] == "claim"), key=lambda each: -each["probability"]
    )
    assert [each["text"] for each in figures["confident"]["claim"]] == [
        each["text"] for each in best[:10]
    ]
    worst = sorted(made, key=lambda each: each["probability"])
    assert [each["text"] for each in figures["doubtful"]] == [each["text"] for each in worst[:20]]


def test_a_denial_is_beside_the_claims_of_its_day(report, write_results):
    figures = report(
        write_results(
            [
                {"text": "تبنت", "label": "claim", "date": "2024-05-01"},
                {"text": "نفت", "date": "2024-05-01T23:59:00+03:00"},
                {"text": "نفت أيضا", "date": "2024-05-02"},
                {"text": "نفت بلا تاريخ", "date": "أمس"},
            ]
        )
    )
    (day,) = figures["denied_days"]
    assert day["day"] == "2024-05-01"
    assert [each["text"] for each in day["claims"]["sentences"]] == ["تبنت"]
    assert [each["text"] for each in day["denials"]["sentences"]] == ["نفت"]
    assert figures["dated"] == 3


def test_a_sentence_that_recurs_is_listed_once(report, write_results):
    figures = report(write_results([{"text": "نفس الخبر"}] * 50 + [{"text": "خبر آخر"}]))
    assert [each["text"] for each in figures["confident"]["denial"]] == ["نفس الخبر", "خبر آخر"]
    assert figures["labels"][0]["count"] == 51


def test_jsonl_csv_and_parts_of_one_run_give_the_same_figures(report, tmp_path):
    (tmp_path / "in.txt").write_text("تبنت الجماعة الهجوم.\nنفت الوزارة ذلك.\n…\n" * 3, "utf-8")
    (tmp_path / "in.jsonl").write_text('{"text": "قتل أربعة جنود."}\n{"text": 7}\n', "utf-8")
    inputs = [str(tmp_path / name) for name in ("in.txt", "in.jsonl")]
    found = []
    for output in ("o.jsonl", "o.csv", "parts/"):
        words = ["--model", "fast", "--max-rejected", "1", "-o", f"{tmp_path}/{output}"]
        assert main(["classify", *inputs, *words]) == 0
        found.append(report(tmp_path / output) | {"inputs": []})
    assert found[0]["sentences"] >= 7
    assert found[0] == found[1] == found[2]


def test_carried_fields_count_alike_from_every_format_and_from_the_names_of_folders(
    report, tmp_path
):
    rows = [
        {
            "text": f"نفت الوزارة {number} ذلك. وتبنت الجماعة الهجوم رقم {number}.",
            "date": None if number == 7 else f"2024-05-0{1 + number % 3}",
            "source": "وكالة/أ" if number % 2 else "ب=100%",
            "url": f"https://news.example/{number}",
        }
        for number in range(12)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "in.jsonl").write_text(lines, "utf-8")
    words = ["classify", str(tmp_path / "in.jsonl"), "--model", "fast"]
    words += ["--carry", "date,source,url", "-o"]
    whole = []
    for output in ("o.jsonl", "o.jsonl.gz", "o.csv", "o.parquet", "parts/"):
        more = ["--format", "parquet"] if output == "parts/" else []
        assert main([*words, f"{tmp_path}/{output}", *more]) == 0
        whole.append(report(tmp_path / output) | {"inputs": []})
    assert all(figures == whole[0] for figures in whole)
    assert (whole[0]["sentences"], whole[0]["dated"]) == (24, 22)
    assert {each["name"] for each in whole[0]["outlets"]} == {"وكالة/أ", "ب=100%"}
    # In folders the order of the records is another; the counts are not.
    for field, form in (("date", "parquet"), ("source", "parquet"), ("source", "csv")):
        folder = f"{tmp_path}/{field}-{form}/"
        assert main([*words, folder, "--partition-by", field, "--format", form]) == 0
        assert counts(report(folder)) == counts(whole[0])


def counts(figures):
    """The figures that do not depend on the order of the records."""
    outlets = {each["name"]: each["counts"] for each in figures["outlets"]}
    days = [each["day"] for each in figures["denied_days"]]
    same = ("sentences", "dated", "uncertain", "labels", "periods")
    return [figures[name] for name in same], outlets, days


def test_an_error_counts_as_a_sentence_without_a_label(report, write_results):
    odd = {"label": None, "probability": None, "certain": False, "error": "no letter or digit"}
    figures = report(write_results([odd, {"truncated": True, "certain": False}]))
    assert (figures["not_labelled"], figures["truncated"], figures["sentences"]) == (1, 1, 2)
    assert [each["count"] for each in figures["labels"]] == [1]


def test_labels_of_another_scheme_have_names_and_colours_too(report, write_results):
    figures = report(write_results([{"label": "weather"}, {"label": "denial"}]))
    assert [each["name"] for each in figures["labels"]] == ["denial", "weather"]
    assert figures["labels"][1]["colour"].startswith("#")


def test_the_table_holds_rare_labels_whole_and_a_sample_of_the_others(
    report, write_results, tmp_path
):
    many = ROWS * 2
    made = [{"text": f"{n}", "label": "other"} for n in range(many)]
    made[7:7] = [{"text": f"نفي {n}"} for n in range(9)]
    figures = report(write_results(made))
    rows = table(tmp_path / "report.html")
    assert figures["table_rows"] == len(rows) == ROWS
    assert [row["text"] for row in rows if row["label"] == "denial"] == [
        f"نفي {n}" for n in range(9)
    ]
    sample = [int(row["text"]) for row in rows if row["label"] == "other"]
    assert sample == sorted(set(sample))
    assert 0.4 < sum(sample) / len(sample) / many < 0.6


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "نص"}\n', "line 1: no field"),
        ("{}\n", "line 1: no field"),
        ("[1]\n", "an array, not an object"),
        (
            '{"text": "نص", "label": "x", "probability": 7, "certain": true, '
            '"doc_id": "a", "model": "m"}\n',
            "probability",
        ),
    ],
)
def test_what_is_not_a_result_is_two_lines_and_leaves_no_page(
    report, tmp_path, capsys, content, said
):
    (tmp_path / "odd.jsonl").write_text(content, "utf-8")
    page = report(tmp_path / "odd.jsonl", status=2)
    errors = capsys.readouterr().err
    assert said in errors
    assert "odd.jsonl" in errors
    assert errors.count("\n") == 2
    assert not page.exists()


@pytest.mark.parametrize("name", ["a.txt", "a.html", "a.zip", "a.tar", "a.warc.gz"])
def test_files_of_kinds_that_no_run_writes_hold_no_records(report, tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04\0")
    report(tmp_path / name, status=2)
    assert "holds no records" in capsys.readouterr().err


def test_the_results_are_never_overwritten(tmp_path, write_results, capsys):
    path = write_results([{}])
    before = path.read_bytes()
    assert main(["report", str(path), "-o", str(path)]) == 2
    assert "is also an input" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["report.pdf", "report.JSON", "report.html.gz"])
def test_a_page_of_another_format_is_refused(tmp_path, write_results, capsys, name):
    assert main(["report", str(write_results([{}])), "-o", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert f"{name}: its suffix" in said
    assert said.count("\n") == 2
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["report", "report.HTM", "2026.html"])
def test_a_page_may_have_no_suffix_or_that_of_html(tmp_path, write_results, name):
    assert main(["report", str(write_results([{}])), "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text("utf-8").startswith("<!doctype html>")


def test_memory_does_not_grow_with_the_results(write_results):
    def peak(count):
        made = (
            {"text": f"{n} " + "كلمة " * 20, "label": "other", "source": f"س{n}"}
            for n in range(count)
        )
        sources = find_results([str(write_results(made, f"{count}.jsonl"))])
        summary = Summary(read_manifest(shipped_model()).scheme)
        tracemalloc.start()
        for result, _ in read_results(sources):
            summary.add(result)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(20_000) < 1.5 * peak(10_000)


def test_blank_and_long_ids_are_ids_too(report, write_results):
    long = "https://a.example/" + "%D8%AE" * 40
    ids = [" ", f"{long}/1", f"{long}/2", f"{long}/2", 7]
    assert report(write_results({"doc_id": each} for each in ids))["documents"] == 4


def test_a_page_that_cannot_be_written_is_an_error_of_one_line(tmp_path, write_results, capsys):
    target = tmp_path / ("ص" * 125)
    assert main(["report", str(write_results([{}])), "-o", str(target)]) == 1
    assert "cannot be written: File name too long" in capsys.readouterr().err
