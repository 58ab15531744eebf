"""`rasd evaluate`: every sentence counts, the figures are right, the pictures are whole."""

import hashlib
import json

import numpy as np
import onnx
import pytest
from matplotlib.image import imread
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from serving.bundle import Manifest, NormalizerStamp, sha256, write_manifest
from serving.classifier import Classifier
from serving.errors import InputError
from serving.labels import Label, LabelScheme
from serving.normalize import NORMALIZERS
from training.evaluate import evaluate, measure
from training.labelled import LabelledSentence
from training.metrics import ReliabilityBin
from training.plots import draw_confusion, draw_reliability

SCHEME = LabelScheme(
    labels=tuple(
        Label(name=name, arabic=arabic, colour="#777777")
        for name, arabic in (
            ("attack_report", "تقرير عن هجوم"),
            ("claim", "تبنٍّ أو ادعاء"),
            ("denial", "نفي"),
            ("official_response", "رد رسمي"),
            ("other", "غير ذلك"),
        )
    )
)
CUES = {"انفجار": "attack_report", "تبنت": "claim", "نفت": "denial", "دانت": "official_response"}
THRESHOLD = 0.8


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle whose graph adds up one vector a cue word: all of a sentence can be told ahead."""
    folder = tmp_path_factory.mktemp("model") / "cues"
    folder.mkdir()
    words = ["[PAD]", "[UNK]", *CUES]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text('{"pad_token_id": 0}')

    table = np.zeros((len(words), len(SCHEME.names)), np.float32)
    table[1, SCHEME.names.index("other")] = 0.5
    for word, label in CUES.items():
        table[words.index(word), SCHEME.names.index(label)] = 5
    onnx.save(_sum_of_rows(table), folder / "model.onnx")

    light = NORMALIZERS["light"]
    write_manifest(
        folder,
        Manifest(
            name="cues",
            version="1",
            scheme=SCHEME,
            normalizer=NormalizerStamp(name=light.name, version=light.version, golden=()),
            max_length=8,
            temperature=1.0,
            threshold=THRESHOLD,
            golden_predictions=(),
            metrics={},
            provenance={},
            files={path.name: sha256(path) for path in folder.iterdir()},
        ),
    )
    return folder


def _sum_of_rows(table):
    """A graph that sums the table's rows over the tokens that are not padding."""
    both = ["batch", "tokens"]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
            helper.make_node("Mul", ["rows", "weights"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "tokens_axis"], ["logits"], keepdims=0),
        ],
        "cues",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, both),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, both),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", table.shape[1]])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "tokens_axis"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


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
    assert record["metrics"] == json.loads(json.dumps(metrics.to_json()))
    digest = hashlib.sha256(labelled.read_bytes()).hexdigest()
    assert record["files"] == [{"file": str(labelled), "sha256": digest}]
    assert {name: part["accuracy"] for name, part in record["slices"].items()} == {
        "wire": 1,
        "daily": 0.5,
    }
    assert sum(point["count"] for point in record["reliability"]) == len(ROWS)
    assert "onnxruntime" in record["environment"]["packages"]
    assert (out / "notes.txt").read_text() == "mine"
    assert {path.name for path in out.iterdir()} == {
        "notes.txt",
        "metrics.json",
        "confusion_matrix.png",
        "reliability.png",
    }

    printed = capsys.readouterr()
    assert "cues@1 on 5 sentences" in printed.out
    assert "macro-F1 0.733   accuracy 0.800" in printed.out
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
    assert whole.to_json()["labels"]["denial"]["f1"] == few.to_json()["labels"]["denial"]["f1"]
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
    with pytest.raises(InputError, match="none of the 1 sentences"):
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


def _assert_nothing_is_cut_off(path):
    """The outermost pixels are paper: whatever runs out of the picture would cross them."""
    pixels = imread(path)[..., :3]
    assert pixels.min() < 0.5
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 1


@pytest.mark.parametrize("total", [0, 7, 1_234_567])
def test_the_confusion_matrix_stays_within_its_picture(tmp_path, total):
    names = ("a", "an_unusually_long_label_name", "third")
    scheme = LabelScheme(
        labels=tuple(Label(name=name, arabic="غير ذلك", colour="#777777") for name in names)
    )
    path = tmp_path / "matrix.png"
    title = "a-model-with-quite-a-name@2026.11.23 on " + "a-file-with-a-long-name-" * 4
    draw_confusion([[total, 1, 0], [0, total, 2], [0, 0, 0]], scheme, path, title=title)
    _assert_nothing_is_cut_off(path)


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 1.0])
def test_the_reliability_diagram_stays_within_its_picture(tmp_path, accuracy):
    bins = [
        ReliabilityBin(i / 15, (i + 1) / 15, (i + 0.5) / 15, accuracy, 10 ** (i // 3))
        for i in range(15)
    ]
    path = tmp_path / "reliability.png"
    draw_reliability(bins, path, title="a-model@1 on " + "a-file-with-a-long-name-" * 4)
    _assert_nothing_is_cut_off(path)
