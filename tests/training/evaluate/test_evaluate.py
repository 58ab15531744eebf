"""`rasd evaluate`: every sentence counts, the figures are right, the pictures are whole."""

import csv
import hashlib
import io
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from matplotlib.image import imread

from serving.classifier import Classifier
from serving.errors import InputError
from serving.labels import Label, LabelScheme
from training.evaluate.measure import measure
from training.evaluate.metrics import CoveragePoint, ReliabilityBin
from training.evaluate.plots import confusion_figure, coverage_figure, png, reliability_figure, svg
from training.evaluate.run import evaluate
from training.labelled.sentence import LabelledSentence

RASD = Path(sys.executable).with_name("rasd")
THRESHOLD = 0.8  # of the bundle in conftest.py


def _write(path, *rows):
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _row(text, label, **fields):
    return {"text": text, "label": label, **fields}


# Four that the cues get right; the denial in the last has no cue, so it is taken for `other`.
ROWS = [
    _row("انفجار قرب السوق القديم", "attack_report", source="wire"),
    _row("تبنت الجماعة العملية", "claim", source="wire"),
    _row("نفت الحركة ذلك", "denial", source="wire"),
    _row("دانت الوزارة الحادث", "official_response", source="daily"),
    _row("لا صحة لما قيل", "denial", source="daily"),
]


def test_the_folder_holds_the_figures_and_says_where_they_come_from(bundle, tmp_path, capsys):
    labelled = _write(tmp_path / "dev.jsonl", *ROWS)
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")

    metrics = evaluate(bundle, [labelled], out)

    assert metrics.accuracy == pytest.approx(4 / 5)
    # F1: attack_report, claim and official_response 1; denial 2/3; other 0, for want of any.
    assert metrics.macro_f1 == pytest.approx((3 + 2 / 3) / 5)
    assert metrics.confusion[2] == (0, 0, 1, 0, 1)

    record = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert record["model"] == "cues@1"
    assert record["metrics"] == json.loads(json.dumps(asdict(metrics)))
    digest = hashlib.sha256(labelled.read_bytes()).hexdigest()
    assert record["files"] == [{"file": str(labelled), "sha256": digest}]
    assert record["comparison"] is None
    assert record["bootstrap"] == {"resamples": 2000, "seed": 1, "level": 0.95}
    low, high = record["intervals"]["accuracy"].values()
    assert low <= metrics.accuracy <= high
    (mistake,) = record["mistakes"]
    assert mistake["text"] == ROWS[-1]["text"]
    assert (mistake["label"], mistake["predicted"]) == ("denial", "other")
    assert mistake["place"] == "dev.jsonl:5"
    assert sum(point["count"] for point in record["reliability"]) == len(ROWS)
    assert "onnxruntime" in record["environment"]["packages"]
    assert (out / "notes.txt").read_text() == "mine"
    assert {path.name for path in out.iterdir()} == {
        "notes.txt",
        "report.html",
        "metrics.json",
        "confusion_matrix.png",
        "coverage.png",
        "reliability.png",
    }

    printed = capsys.readouterr()
    assert "cues@1 on 5 sentences" in printed.out
    assert "macro-F1 0.733 (" in printed.out
    assert "accuracy 0.800 (" in printed.out
    assert max(map(len, printed.out.splitlines())) <= 80
    assert "no sentence is other" in printed.err


def test_the_threshold_of_the_bundle_parts_certain_from_uncertain(bundle, tmp_path):
    evaluate(bundle, [_write(tmp_path / "dev.jsonl", *ROWS)], tmp_path / "out")
    certain = json.loads((tmp_path / "out" / "metrics.json").read_text())["certain"]
    # The sentence without a cue is the one that the model is not sure of, and gets wrong.
    assert certain == {"coverage": 0.8, "threshold": THRESHOLD, "accuracy": 1.0}


def test_repeated_and_contradictory_sentences_all_count_and_are_told(bundle, tmp_path, capsys):
    one = _write(tmp_path / "one.jsonl", ROWS[0], ROWS[0], ROWS[1])
    two = _write(tmp_path / "two.jsonl", _row("تبنت  الجماعة العملية", "other"))
    metrics = evaluate(bundle, [one, two])
    assert metrics.sentences == 4
    assert metrics.accuracy == 3 / 4
    told = capsys.readouterr().err
    assert "sentences that repeat another: 2" in told
    assert "texts with two labels: 1" in told


def test_a_file_of_many_chunks_is_measured_like_its_parts(bundle, tmp_path):
    many = [_row(f"{row['text']} {i}", row["label"]) for i in range(120) for row in ROWS]
    whole = evaluate(bundle, [_write(tmp_path / "many.jsonl", *many)])
    few = evaluate(bundle, [_write(tmp_path / "few.jsonl", *many[:5])])
    assert whole.sentences == 600
    assert asdict(whole)["labels"]["denial"]["f1"] == asdict(few)["labels"]["denial"]["f1"]
    assert whole.ece == pytest.approx(few.ece)


def _sentence(text, label, tmp_path):
    return LabelledSentence(
        text=text,
        label=label,
        id=None,
        source=None,
        date=None,
        split=None,
        sure=True,
        file=tmp_path,
        line=1,
        place="here",
    )


def test_refused_and_cut_sentences_are_counted_apart(bundle, tmp_path):
    classifier = Classifier.load(bundle)
    long = "انفجار " + "جديد " * 20
    sentences = [_sentence(text, "attack_report", tmp_path) for text in ("…!", long, "انفجار")]
    found = measure(classifier, sentences)
    assert (found.refused, found.truncated, found.metrics.sentences) == (1, 1, 2)
    with pytest.raises(InputError, match="of 1 sentence, none can"):
        measure(classifier, sentences[:1])


@pytest.mark.parametrize("row", [_row("انفجار", "attack"), _row("", "other"), {"text": "انفجار"}])
def test_a_bad_file_is_refused_and_nothing_is_written(bundle, tmp_path, row):
    labelled = _write(tmp_path / "dev.jsonl", ROWS[0], row)
    with pytest.raises(InputError, match="line 2"):
        evaluate(bundle, [labelled], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(bundle, tmp_path):
    labelled = _write(tmp_path / "dev.jsonl", *ROWS)
    with pytest.raises(InputError, match="a file, not a folder"):
        evaluate(bundle, [labelled], labelled)
    assert len(labelled.read_text(encoding="utf-8").splitlines()) == len(ROWS)


def test_slices_tell_where_the_model_is_weak(bundle, tmp_path, capsys):
    good = [
        _row(f"نفت الحركة ذلك {i}", "denial", source="wire", register="news") for i in range(60)
    ]
    poor = [
        _row(f"ليست لنا صلة بالأمر {i}", "denial" if i % 2 else "other", source="daily")
        for i in range(40)
    ]
    few = [_row(f"ما جرى كذب {i}", "denial", source="blog") for i in range(10)]
    evaluate(bundle, [_write(tmp_path / "dev.jsonl", *good, *poor, *few)], tmp_path / "out")
    record = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    found = {(part["dimension"], part["value"]): part for part in record["slices"]}
    daily, wire, blog = (found["source", name] for name in ("daily", "wire", "blog"))
    assert (wire["sentences"], wire["accuracy"], wire["macro_f1"]) == (60, 1, 1)
    assert (daily["accuracy"], daily["weak"], daily["small"]) == (0.5, True, False)
    assert daily["excess"] == pytest.approx(40 * (80 / 110 - 0.5))
    # Half of the slice is of either label, all of it is taken for other.
    assert daily["macro_f1"] == pytest.approx((0 + 2 / 3) / 2)
    assert blog["small"]
    assert not blog["weak"]
    assert found["negation", "yes"]["sentences"] == 40
    assert found["register", "(not given)"]["sentences"] == 50
    assert "source: daily *" in capsys.readouterr().out


def test_calibration_is_told_before_and_after(make_bundle, tmp_path):
    """What a graph says before calibration is what it says after none."""
    labelled = _write(tmp_path / "dev.jsonl", *ROWS)
    for name, temperature, power in (("plain", 1.0, 1.0), ("cooled", 2.5, 1.7)):
        bundle = make_bundle(name, temperature=temperature, power=power)
        evaluate(bundle, [labelled], tmp_path / name)
    plain, cooled = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("plain", "cooled")
    )
    assert (cooled["temperature"], cooled["power"]) == (2.5, 1.7)
    for figure in ("ece", "nll", "brier"):
        assert cooled["uncalibrated"][figure] == pytest.approx(plain["metrics"][figure], abs=1e-5)
        assert cooled["metrics"][figure] != pytest.approx(plain["metrics"][figure], abs=1e-3)


def test_a_model_without_a_calibration_has_no_figures_before_it(make_bundle, tmp_path, capsys):
    """A cascade has temperature 1 and power 1: its models are calibrated, not their mixture."""
    labelled = _write(tmp_path / "dev.jsonl", *ROWS)
    for temperature, told in ((1.0, False), (2.5, True)):
        out = tmp_path / str(temperature)
        evaluate(make_bundle(f"t{temperature}", temperature=temperature), [labelled], out)
        assert ("before calibration" in capsys.readouterr().out) == told
        report = (out / "report.html").read_text(encoding="utf-8")
        assert ('<th class="n">before</th>' in report) == told
        assert ("no calibration of its own" in report) != told
        assert report.count("negative log-likelihood (NLL)") == 1


def test_another_bundle_is_compared_on_the_same_file(bundle, make_bundle, tmp_path, capsys):
    deaf = make_bundle("deaf", cues={"انفجار": "attack_report", "تبنت": "claim"})
    evaluate(bundle, [_write(tmp_path / "dev.jsonl", *ROWS)], tmp_path / "out", compare=deaf)
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["comparison"]
    assert found["other"] == "deaf@1"
    assert (found["both_right"], found["only_model_right"], found["only_other_right"]) == (2, 2, 0)
    assert found["mcnemar_p"] == 0.5
    assert found["labels"]["denial"]["difference"] == pytest.approx(2 / 3)
    printed = capsys.readouterr().out
    assert "McNemar's exact p 0.5" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_the_order_of_the_other_bundles_labels_does_not_matter(
    bundle, make_bundle, scheme, tmp_path
):
    turned = LabelScheme(labels=(*scheme.labels[3::-1], scheme.labels[4]))
    same = make_bundle("turned", scheme=turned)
    evaluate(bundle, [_write(tmp_path / "dev.jsonl", *ROWS)], tmp_path / "out", compare=same)
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["comparison"]
    assert (found["both_right"], found["both_wrong"]) == (4, 1)


def test_a_bundle_of_other_labels_is_not_compared(bundle, make_bundle, tmp_path):
    labels = (Label(name="yes", arabic="نعم", colour="#777777"),)
    labels += (Label(name="no", arabic="لا", colour="#777777"),)
    other = make_bundle("two", cues={}, scheme=LabelScheme(labels=labels))
    with pytest.raises(InputError, match="its labels are yes, no"):
        evaluate(bundle, [_write(tmp_path / "dev.jsonl", *ROWS)], tmp_path / "out", compare=other)
    assert not (tmp_path / "out").exists()


def _assert_nothing_is_cut_off(figure):
    """The outermost pixels are paper: whatever runs out of the picture would cross them."""
    pixels = imread(io.BytesIO(png(figure)))[..., :3]
    assert pixels.min() < 0.5
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 1


@pytest.mark.parametrize("total", [0, 7, 1_234_567])
def test_the_confusion_matrix_stays_within_its_picture(total):
    names = ("a", "an_unusually_long_label_name", "third")
    scheme = LabelScheme(
        labels=tuple(Label(name=name, arabic="غير ذلك", colour="#777777") for name in names)
    )
    title = "a-model-with-quite-a-name@2026.11.23 on " + "a-file-with-a-long-name-" * 4
    counts = [[total, 1, 0], [0, total, 2], [0, 0, 0]]
    _assert_nothing_is_cut_off(confusion_figure(counts, scheme, title=title))


def _bins(accuracy):
    return [
        ReliabilityBin(i / 15, (i + 1) / 15, (i + 0.5) / 15, accuracy, 10 ** (i // 3))
        for i in range(15)
    ]


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 1.0])
def test_the_reliability_diagram_stays_within_its_picture(accuracy):
    title = "a-model@1 on " + "a-file-with-a-long-name-" * 4
    figure = reliability_figure(_bins(accuracy), _bins(1 - accuracy), title=title)
    _assert_nothing_is_cut_off(figure)
    _assert_nothing_is_cut_off(reliability_figure(_bins(accuracy), (), title=title))


@pytest.mark.parametrize("accuracy", [0.0, 0.975, 1.0, None])
def test_the_coverage_curve_stays_within_its_picture(accuracy):
    curve = [CoveragePoint(share / 10, 0.5, accuracy) for share in range(1, 11)]
    figure = coverage_figure(curve, CoveragePoint(0.8, 0.7, accuracy), title="a-model@1")
    _assert_nothing_is_cut_off(figure)


def test_the_same_picture_has_the_same_bytes():
    one, two = (reliability_figure(_bins(0.5), _bins(0.4), title="a") for _ in range(2))
    assert svg(one) == svg(two)
    assert b"<text" not in svg(one)


def test_a_reader_that_leaves_early_costs_no_file(bundle, tmp_path):
    labelled = _write(tmp_path / "dev.jsonl", *ROWS)
    command = [RASD, "evaluate", labelled, "--model", bundle, "--out", tmp_path / "out"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        run.stdout.close()
    assert run.returncode == 0
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_labels_with_arabic_names_go_all_the_way(make_bundle, tmp_path, capsys):
    names = ("هجوم", "تبنٍّ", "نفي", "رد_رسمي", "آخر")
    scheme = LabelScheme(
        labels=tuple(Label(name=name, arabic=name, colour="#777777") for name in names)
    )
    bundle = make_bundle("arabic", cues={"انفجار": "هجوم", "نفت": "نفي"}, scheme=scheme)
    rows = [_row("انفجار قرب السوق القديم", "هجوم"), _row("نفت الحركة ذلك", "نفي")]
    labelled = _write(tmp_path / "dev.jsonl", *rows)
    assert evaluate(bundle, [labelled], tmp_path / "out").accuracy == 1
    assert "رد_رسمي" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "نفي" in capsys.readouterr().out

    command = [RASD, "classify", labelled, "--unit", "sentence", "--model", bundle]
    run = subprocess.run(
        [*command, "--format", "csv"], capture_output=True, text=True, encoding="utf-8", check=True
    )
    records = list(csv.DictReader(run.stdout.splitlines()))
    assert [record["label"] for record in records] == ["هجوم", "نفي"]
    assert all(tuple(json.loads(record["probabilities"])) == names for record in records)
