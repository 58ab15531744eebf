"""A student that learns from other models, with tiny ones."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from transformers import AutoConfig  # noqa: E402

from serving.bundle import Bundle  # noqa: E402
from serving.classifier import Classifier  # noqa: E402
from serving.errors import InputError  # noqa: E402
from serving.labels import LabelScheme  # noqa: E402
from serving.text.normalize import NORMALIZERS  # noqa: E402
from serving.text.sentences import split_sentences  # noqa: E402
from training.config import load_config  # noqa: E402
from training.labelled.reading import read_labelled  # noqa: E402
from training.labelled.splits import Sides  # noqa: E402
from training.model.checkpoint import load_checkpoint  # noqa: E402
from training.model.classifier import load_encoder  # noqa: E402
from training.train.linear import fit_linear  # noqa: E402
from training.train.run import train  # noqa: E402
from training.train.teachers import ask, keep_layers, load_teacher, prepare_lessons  # noqa: E402

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "configs" / "arabert.yaml"
RASD = Path(sys.executable).with_name("rasd")
LIGHT = NORMALIZERS["light"].apply


@pytest.fixture(scope="session")
def settings(authored, tiny_encoder, tmp_path_factory):
    """The settings of a short run on 200 sentences, 60 more of which have no label."""
    folder = tmp_path_factory.mktemp("lessons")
    labelled, archive = folder / "labelled.jsonl", folder / "archive.txt"
    lines = [json.dumps(row, ensure_ascii=False) for row in authored]
    labelled.write_text("\n".join(lines[:200]), encoding="utf-8")
    archive.write_text("\n".join(row["text"] for row in authored[300:360]), encoding="utf-8")

    def make(*further):
        return [
            f"encoder={tiny_encoder}",
            f"data.train=[{labelled}]",
            "data.dev_fraction=0.3",
            "max_length=48",
            "export.min_agreement=0.5",
            "optimisation.epochs=1",
            f"distill.unlabelled=[{archive}]",
            *further,
        ]

    return make


def test_a_student_follows_its_teacher_where_no_label_is(bundle, authored, settings, tmp_path):
    """The teacher knows labels by cue words, of which the labelled sentences here say nothing."""
    cues = ["انفجار", "تبنت", "نفت", "دانت", "اجتمع"]
    rows = [f"{cues[n % 5]} {row['text'][:40]}" for n, row in enumerate(authored[300:700])]
    teacher = Classifier.load(bundle)
    held_out = [
        {"text": text, "label": answer.label}
        for text, answer in zip(rows[350:], teacher.classify(rows[350:]), strict=True)
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in held_out]
    (tmp_path / "dev.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "archive.txt").write_text("\n".join(rows[:350]), encoding="utf-8")
    config = load_config(
        CONFIG,
        settings(
            f"distill.teachers=[{bundle}]",
            f"distill.unlabelled=[{tmp_path / 'archive.txt'}]",
            "distill.share=1.0",
            f"data.dev=[{tmp_path / 'dev.jsonl'}]",
            "optimisation.epochs=12",
            "optimisation.learning_rate=0.005",
        ),
    )
    student = Classifier.load(train(config, tmp_path / "out", command=["rasd", "train"]))
    answers = student.classify([row["text"] for row in held_out])
    same = [a.label == row["label"] for a, row in zip(answers, held_out, strict=True)]
    assert np.mean(same) > 0.9
    distill = student.bundle.manifest.provenance.distill
    assert distill.teachers == (teacher.model,)
    assert distill.unlabelled.sentences > 300


def test_teachers_of_both_kinds_say_what_they_are_known_to_say(tiny_run, bundle, authored):
    texts = [row["text"] for row in authored[:50]]
    names = Bundle.load(bundle).scheme.names
    of_bundle = ask([load_teacher(bundle)], texts, names, progress=False)
    expected = [list(a.probabilities.values()) for a in Classifier.load(bundle).classify(texts)]
    assert np.allclose(of_bundle, expected, atol=1e-6)

    of_checkpoint = ask([load_teacher(tiny_run / "checkpoint")], texts, names, progress=False)
    model = load_checkpoint(tiny_run / "checkpoint").model.eval()
    assert of_checkpoint.shape == (50, len(names))
    assert not model.training
    both = ask(
        [load_teacher(bundle), load_teacher(tiny_run / "checkpoint")],
        texts,
        names,
        progress=False,
    )
    assert np.allclose(both, (of_bundle + of_checkpoint) / 2, atol=1e-6)


def test_labels_in_another_order_are_told_apart_by_name(make_bundle, scheme, authored):
    turned = LabelScheme(labels=tuple(reversed(scheme.labels)))
    bundle = make_bundle("turned", scheme=turned)
    texts = [row["text"] for row in authored[:20]]
    answers = ask([load_teacher(bundle)], texts, scheme.names, progress=False)
    expected = [
        [answer.probabilities[name] for name in scheme.names]
        for answer in Classifier.load(bundle).classify(texts)
    ]
    assert np.allclose(answers, expected, atol=1e-6)


def test_unlabelled_text_is_read_as_classify_reads_it_and_keeps_off_held_out(
    bundle, scheme, settings, authored, tmp_path
):
    labelled = tmp_path / "dev.jsonl"
    labelled.write_text(json.dumps(authored[0], ensure_ascii=False), encoding="utf-8")
    sides = Sides([], read_labelled([labelled], scheme, LIGHT).sentences, [], [])
    text = f"{authored[0]['text']}\n{authored[1]['text']}\n{authored[1]['text']}\n***\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    document = {"id": "1", "text": authored[2]["text"] + " " + authored[3]["text"]}
    body = json.dumps({"body": document["text"]}, ensure_ascii=False)
    (tmp_path / "body.jsonl").write_text(body, encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    files = f"distill.unlabelled=[{tmp_path / 'a.txt'}, {tmp_path / 'b.jsonl'}]"
    given = settings(f"distill.teachers=[{bundle}]", files)
    lessons = prepare_lessons(load_config(CONFIG, given), scheme.names, sides, LIGHT)
    assert lessons.unlabelled == [row["text"] for row in authored[1:4]]
    for named in ([], ["distill.text_field=body"]):
        other = [f"distill.unlabelled=[{tmp_path / 'body.jsonl'}]", *named]
        config = load_config(CONFIG, [*given, *other])
        lessons = prepare_lessons(config, scheme.names, sides, LIGHT)
        assert lessons.unlabelled == [row["text"] for row in authored[2:4]]

    # What a limit leaves in does not hang on the order of the files.
    turned = f"distill.unlabelled=[{tmp_path / 'b.jsonl'}, {tmp_path / 'a.txt'}]"
    drawn = [
        prepare_lessons(
            load_config(CONFIG, [*given, order, "distill.limit=2"]), scheme.names, sides, LIGHT
        ).unlabelled
        for order in (files, turned)
    ]
    assert len(drawn[0]) == 2
    assert drawn[0] == drawn[1]


def test_teachers_label_neither_what_is_for_the_test_nor_what_corrects_them(
    bundle, settings, authored, tmp_path
):
    def written(name, rows, **changes):
        lines = [json.dumps(row | changes, ensure_ascii=False) for row in rows]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        return tmp_path / name

    base = written("base.jsonl", authored[:200])
    marked = written("marked.jsonl", authored[200:210], split="test")
    corrected = written("corrected.jsonl", authored[210:230])
    tested = authored[230:240]
    archive = written("archive.jsonl", authored[200:260])
    given = settings(
        f"data.train=[{base}, {marked}, {corrected}]",
        f"data.corrections=[{corrected}]",
        f"distill.teachers=[{bundle}]",
        f"distill.unlabelled=[{archive}]",
    )
    config = load_config(CONFIG, given)
    sentences = read_labelled(
        [written("tested.jsonl", tested)], LabelScheme.read(config.labels), LIGHT
    ).sentences
    made = train(config, tmp_path / "out", command=["rasd", "train"], tested=sentences)
    left = Bundle.load(made).manifest.provenance.distill.unlabelled.sentences
    assert left == sum(len(split_sentences(row["text"])) for row in authored[240:260])


def test_a_student_keeps_the_layers_that_it_is_told_to(tiny_encoder, settings, bundle, tmp_path):
    config = load_config(CONFIG, settings(f"distill.teachers=[{bundle}]", "distill.layers=[1]"))
    made = train(config, tmp_path / "out", command=["rasd", "train"])
    assert AutoConfig.from_pretrained(made).num_hidden_layers == 1
    assert len(Classifier.load(made).classify(["نفت الجماعة ذلك."])) == 1

    kept, whole = load_encoder(tiny_encoder), load_encoder(tiny_encoder)
    keep_layers(kept, [1])
    top = {name: value for name, value in whole.named_parameters() if ".layer.1." in name}
    left = dict(kept.named_parameters())
    assert top
    for name, value in top.items():
        assert torch.equal(left[name.replace(".layer.1.", ".layer.0.")], value)


def test_a_checkpoint_is_an_encoder_to_go_on_from(tiny_run, settings, tmp_path):
    checkpoint = tiny_run / "checkpoint"
    encoder = load_encoder(checkpoint)
    trained = load_checkpoint(checkpoint).model.encoder.state_dict()
    assert trained.keys() == encoder.state_dict().keys()
    assert all(torch.equal(value, trained[name]) for name, value in encoder.state_dict().items())

    config = load_config(CONFIG, settings(f"encoder={checkpoint}", "distill.unlabelled=[]"))
    made = train(config, tmp_path / "out", command=["rasd", "train"])
    name = load_teacher(checkpoint).model
    assert f"Fine-tuned from `{name}`" in (made / "README.md").read_text(encoding="utf-8")


def test_a_run_killed_after_the_teachers_have_spoken_does_not_ask_them_again(
    bundle, settings, tmp_path
):
    out = tmp_path / "out"
    given = settings(f"distill.teachers=[{bundle}]", "optimisation.epochs=200")
    arguments = [item for setting in given for item in ("--set", setting)]
    command = [str(RASD), "train", str(CONFIG), "--out", str(out)]
    run = subprocess.Popen([*command, *arguments], cwd=ROOT, stderr=subprocess.PIPE)
    soft = out / "trainer" / "soft_labels.npy"
    deadline = time.monotonic() + 120
    while not soft.is_file() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    before = soft.stat().st_mtime_ns

    run = subprocess.Popen([*command, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    first = run.stderr.readline()
    while "resuming" not in first and first:
        first = run.stderr.readline()
    while not any(out.glob("trainer/checkpoint-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.kill()
    run.communicate()
    assert "resuming the unfinished run" in first
    assert soft.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("distill.teachers=[{folder}]", "is not a model\nName `bundle`"),
        ("distill.teachers=[{folder}/run]", "is not a model\nDid you mean .*/run/bundle"),
        ("distill.unlabelled=[{folder}/story.jsonl]", "distill.text_field"),
        ("distill.unlabelled=[{folder}/nothing.txt]", "no such file or folder"),
        ("distill.unlabelled=[{folder}/blank.txt]", "no sentence in"),
        ("distill.layers=[0, 7]", "the encoder has no layer 7"),
        ("distill.unlabelled=[{folder}/archive.docx]", "cannot read this kind of file"),
    ],
)
def test_what_cannot_be_learned_from_is_named(bundle, settings, tmp_path, setting, says):
    (tmp_path / "blank.txt").write_text("\n *** \n", encoding="utf-8")
    (tmp_path / "archive.docx").write_bytes(b"PK")
    (tmp_path / "story.jsonl").write_text('{"story": "خبر"}', encoding="utf-8")
    (tmp_path / "run" / "bundle").mkdir(parents=True)
    given = settings(f"distill.teachers=[{bundle}]", setting.format(folder=tmp_path))
    with pytest.raises(InputError, match=says):
        train(load_config(CONFIG, given), tmp_path / "out", command=["rasd", "train"])
    assert not (tmp_path / "out").exists()


def test_a_teacher_of_other_labels_is_refused(make_bundle, scheme, settings, tmp_path):
    fewer = LabelScheme(labels=scheme.labels[1:])
    cues = {"نفت": "denial"}
    bundle = make_bundle("fewer", cues=cues, scheme=fewer)
    config = load_config(CONFIG, settings(f"distill.teachers=[{bundle}]"))
    with pytest.raises(InputError, match="the same labels"):
        train(config, tmp_path / "out", command=["rasd", "train"])


def test_unlabelled_files_without_a_teacher_are_refused(settings):
    with pytest.raises(InputError, match=r"a teacher must label them: set distill"):
        load_config(CONFIG, settings())


def test_a_linear_model_is_a_teacher_like_any_other(bundle, settings, scheme, authored, tmp_path):
    """Its answers are probabilities that know the labels of sentences which it has not seen."""
    given = settings(f"distill.teachers=[{bundle}]", "distill.linear=true")
    config = load_config(CONFIG, given)
    labelled = read_labelled(config.data.train, scheme, LIGHT).sentences
    lessons = prepare_lessons(config, scheme.names, Sides(labelled, [], [], []), LIGHT)
    assert [teacher.model.partition("@")[0] for teacher in lessons.teachers] == ["cues", "linear"]
    unseen = authored[1000:1400]
    answers = lessons.teachers[1].answer([row["text"] for row in unseen])
    assert answers.shape == (400, len(scheme.names))
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-5)
    right = [
        scheme.names[best] == row["label"]
        for best, row in zip(answers.argmax(1), unseen, strict=True)
    ]
    assert np.mean(right) > 0.5  # 200 sentences learned, five labels
    # It is about as sure as it is right: its temperature is not that of what it has learned.
    assert abs(answers.max(axis=1).mean() - np.mean(right)) < 0.15


def test_of_two_labels_a_linear_model_tells_each_one_share(scheme, settings):
    config = load_config(CONFIG, settings("distill.linear=true"))
    two = ("denial", "other")
    sentences = [
        sentence
        for sentence in read_labelled(config.data.train, scheme, LIGHT).sentences
        if sentence.label in two
    ]
    model = fit_linear(sentences, two, LIGHT)
    answers = model.probabilities([sentence.text for sentence in sentences])
    right = [two[best] == s.label for best, s in zip(answers.argmax(1), sentences, strict=True)]
    assert answers.shape == (len(sentences), 2)
    assert np.mean(right) > 0.6


def test_a_linear_teacher_does_not_only_repeat_the_labels_it_learned(scheme, settings):
    """Its answers to its own sentences are from cross-validation: a wrong label is not learned."""
    config = load_config(CONFIG, settings("distill.linear=true"))
    sentences = read_labelled(config.data.train, scheme, LIGHT).sentences
    model = fit_linear(sentences, scheme.names, LIGHT)
    labels = np.array([scheme.names.index(sentence.label) for sentence in sentences])
    answers = model.probabilities([sentence.text for sentence in sentences])
    learned = model.svm.predict(
        model.features.transform([LIGHT(sentence.text) for sentence in sentences])
    )
    assert (learned == labels).mean() > 0.99
    assert 0.3 < (answers.argmax(axis=1) == labels).mean() < 0.95


def test_a_linear_model_needs_three_sentences_of_each_label(settings, scheme, authored, tmp_path):
    few = tmp_path / "few.jsonl"
    rows = [row for row in authored[:60] if row["label"] != "denial"]
    rows += [row for row in authored if row["label"] == "denial"][:2]
    few.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    given = settings("distill.linear=true", f"data.train=[{few}]")
    config = load_config(CONFIG, given)
    labelled = read_labelled(config.data.train, scheme, LIGHT).sentences
    with pytest.raises(InputError, match="2 sentences of denial to learn from"):
        prepare_lessons(config, scheme.names, Sides(labelled, [], [], []), LIGHT)
