"""A cascade answers as its first model where that is sure, as its second where it is not."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from serving import cli
from serving.bundle import Bundle, shipped_model
from serving.classifier import Classifier
from serving.errors import InputError
from serving.text.normalize import NORMALIZERS
from training.cascade.card import render_card
from training.cascade.run import calibrated_on
from training.labelled.reading import fingerprint, read_labelled

AUTHORED = Path(__file__).parents[3] / "data" / "authored.jsonl"
BELOW = 0.9


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    path = tmp_path_factory.mktemp("dev") / "dev.jsonl"
    lines = AUTHORED.read_text(encoding="utf-8").splitlines()[2640::45]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def sentences(labelled):
    lines = labelled.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines] + ["…"]


def make(out, labelled, first="fast", second="default", *more):
    files = ("--dev", str(labelled), "--out", str(out))
    return cli.main(["cascade", str(first), str(second), *files, "--below", str(BELOW), *more])


@pytest.fixture(scope="module")
def cascade(tmp_path_factory, labelled):
    out = tmp_path_factory.mktemp("cascade") / "both"
    assert make(out, labelled) == 0
    return out


def test_every_answer_is_that_of_one_of_the_two_models(cascade, sentences):
    fast, default = (Classifier.load(name).classify(sentences) for name in ("fast", "default"))
    found = Classifier.load(cascade).classify(sentences)
    asked = 0
    for answer, first, second in zip(found[:-1], fast, default, strict=False):
        sure = first.probability >= BELOW
        asked += not sure
        assert answer.probabilities == (first if sure else second).probabilities
    assert 0 < asked < len(sentences) - 1
    assert found[-1] == fast[-1]  # what has no word is refused by both


def test_a_sentence_has_one_score_alone_and_in_any_batch(cascade, sentences):
    classifier = Classifier.load(cascade)
    together = classifier.classify(sentences)
    assert [classifier.classify([sentence])[0] for sentence in sentences[::7]] == together[::7]


def test_certain_is_the_cascades_own_threshold(cascade, sentences):
    classifier = Classifier.load(cascade)
    threshold = classifier.bundle.manifest.threshold
    for answer in classifier.classify(sentences[:-1]):
        assert answer.certain == (answer.probability >= threshold)


def test_included_models_are_referred_to_and_others_are_copied(cascade, labelled, tmp_path):
    assert sorted(path.name for path in cascade.iterdir()) == ["README.md", "bundle.json"]
    own = tmp_path / "own"
    shutil.copytree(shipped_model("fast"), own)
    assert make(tmp_path / "copy", labelled, first=own) == 0
    shutil.rmtree(own)
    assert (tmp_path / "copy" / "first" / "model.onnx").is_file()
    copy = Classifier.load(tmp_path / "copy")
    assert copy.classify(["نفت الوزارة ذلك."]) == Classifier.load(cascade).classify(
        ["نفت الوزارة ذلك."]
    )


def test_a_stage_that_is_another_model_is_refused(cascade, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(cascade, changed)
    manifest = json.loads((changed / "bundle.json").read_text("utf-8"))
    manifest["cascade"]["second"]["model"] = "default@000000000000"
    (changed / "bundle.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(InputError, match="was made of default@000000000000"):
        Bundle.load(changed)


def test_a_damaged_stage_is_refused(labelled, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(shipped_model("fast"), own)
    assert make(tmp_path / "copy", labelled, first=own) == 0
    graph = tmp_path / "copy" / "first" / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match="damaged"):
        Bundle.load(tmp_path / "copy")


def test_a_cascade_of_a_cascade_is_refused(cascade, labelled, tmp_path, capsys):
    assert make(tmp_path / "three", labelled, first=cascade) == 2
    assert "is a cascade itself" in capsys.readouterr().err
    assert not (tmp_path / "three").exists()


def test_classify_and_evaluate_take_it_like_any_model(cascade, labelled, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    arguments = ["classify", str(labelled), "-o", str(out), "--unit", "sentence"]
    assert cli.main([*arguments, "--model", str(cascade)]) == 0
    records = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert {record["model"].split("@")[0] for record in records} == {"cascade"}
    assert cli.main(["evaluate", str(labelled), "--model", str(cascade)]) == 0
    printed = capsys.readouterr().out
    assert "cascade@" in printed
    assert "before calibration" not in printed  # there is none but those of the two models


def test_drift_takes_it_too(cascade, tmp_path, capsys):
    lines = AUTHORED.read_text(encoding="utf-8").splitlines()[:150]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    arguments = ["drift", *[str(tmp_path / "texts.jsonl")] * 2, "--unit", "sentence"]
    arguments.insert(2, "--reference")
    assert cli.main([*arguments, "--model", str(cascade)]) == 0
    assert "Retraining is not due." in capsys.readouterr().out


def test_a_name_that_no_bundle_can_have(labelled, tmp_path, capsys):
    assert make(tmp_path / "out", labelled, "fast", "default", "--name", "my model") == 2
    assert "--name 'my model': not the name of a bundle" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_the_name_of_an_included_model_is_copied(labelled, tmp_path, monkeypatch):
    shutil.copytree(shipped_model("default"), tmp_path / "fast")
    monkeypatch.chdir(tmp_path)
    assert make(tmp_path / "out", labelled) == 0
    assert Bundle.load(tmp_path / "out").stages[0].manifest.name == "default"


def test_labels_of_another_colour_are_refused(labelled, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(shipped_model("default"), other)
    manifest = json.loads((other / "bundle.json").read_text("utf-8"))
    manifest["scheme"]["labels"][0]["colour"] = "#123456"
    (other / "bundle.json").write_text(json.dumps(manifest), "utf-8")
    assert make(tmp_path / "out", labelled, second=other) == 2
    assert "the same labels, but other Arabic names or colours" in capsys.readouterr().err


def test_the_card_names_the_models_that_were_calibrated_on_the_same_sentences(cascade, labelled):
    """Each after its own normaliser, which can change the text that a fingerprint is made of."""
    both = Bundle.load(cascade)
    sentences = read_labelled([labelled], both.scheme, NORMALIZERS["light"].apply).sentences
    manifest = both.stages[1].manifest
    seen = fingerprint(sentences, NORMALIZERS["arabert"].apply)
    assert seen != fingerprint(sentences, NORMALIZERS["light"].apply)
    data = manifest.provenance.data
    data = data.model_copy(
        update={"held_out": data.held_out.model_copy(update={"fingerprint": seen})}
    )
    normalizer = manifest.normalizer.model_copy(update={"name": "arabert"})
    provenance = manifest.provenance.model_copy(update={"data": data})
    other = replace(
        both.stages[1],
        manifest=manifest.model_copy(update={"normalizer": normalizer, "provenance": provenance}),
    )
    assert calibrated_on(other, sentences)
    assert not calibrated_on(both.stages[1], sentences)
    card = render_card(both.manifest, ["dev.jsonl"], "rasd", known=[manifest.model])
    assert f"used to choose and calibrate `{manifest.model}`, and for the threshold" in card
    card = render_card(both.manifest, ["dev.jsonl"], "rasd", known=[])
    assert "The threshold of this cascade was chosen on them, so" in card
