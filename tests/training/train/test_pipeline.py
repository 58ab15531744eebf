"""From labelled sentences to a bundle, with a tiny encoder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from serving.bundle import Bundle  # noqa: E402
from serving.classifier import Classifier, softmax  # noqa: E402
from serving.errors import InputError, RasdError  # noqa: E402
from serving.onnx_model import load_tokenizer, tokenize  # noqa: E402
from serving.records import Prediction  # noqa: E402
from serving.text.normalize import NORMALIZERS  # noqa: E402
from training.config import load_config  # noqa: E402
from training.export.run import export_folder  # noqa: E402
from training.model.checkpoint import load_checkpoint  # noqa: E402
from training.model.from_bundle import restore_checkpoint  # noqa: E402
from training.train.batches import LengthSampler  # noqa: E402
from training.train.run import train  # noqa: E402

ROOT = Path(__file__).parents[3]


def test_the_bundle_classifies_and_names_the_data_it_learned_from(tiny_bundle):
    classifier = Classifier.load(tiny_bundle)
    (answer,) = classifier.classify(["نفت الجماعة مسؤوليتها عن الهجوم."])
    assert isinstance(answer, Prediction)
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    provenance = classifier.bundle.manifest.provenance
    assert provenance.data.train.sentences > 100
    assert provenance.config["optimisation"]["seed"] == 1
    assert len(provenance.history) == 3  # two epochs and the averaged weights


def test_transformers_reads_the_bundle_and_gives_the_ids_that_serving_gives(tiny_bundle, authored):
    from transformers import AutoConfig, AutoTokenizer

    bundle = Bundle.load(tiny_bundle)
    config = AutoConfig.from_pretrained(tiny_bundle)
    assert tuple(config.id2label[i] for i in range(5)) == bundle.scheme.names
    normalize = NORMALIZERS["arabert"].apply
    texts = [normalize(row["text"]) for row in authored[:200]]
    theirs = AutoTokenizer.from_pretrained(tiny_bundle)(texts, truncation=True, max_length=48)
    ours = tokenize(load_tokenizer(tiny_bundle / "tokenizer.json", max_length=48), texts)
    assert [item.ids for item in ours] == theirs["input_ids"]


def test_serving_scores_as_the_trained_model_does(tiny_run, authored):
    """The whole way round: torch in single precision against the int8 graph through Classifier."""
    checkpoint = load_checkpoint(tiny_run / "checkpoint")
    classifier = Classifier.load(tiny_run / "bundle")
    manifest = classifier.bundle.manifest
    texts = [row["text"] for row in authored[300:340]]
    tokenizer = load_tokenizer(tiny_run / "checkpoint" / "tokenizer.json", max_length=48)
    model = checkpoint.model.eval()
    for text, answer in zip(texts, classifier.classify(texts), strict=True):
        (item,) = tokenize(tokenizer, [NORMALIZERS["arabert"].apply(text)])
        with torch.inference_mode():
            logits = model(torch.tensor([item.ids]), torch.ones(1, len(item.ids)))
        expected = softmax(logits.numpy(), manifest.temperature, manifest.power)[0]
        assert np.allclose(list(answer.probabilities.values()), expected, atol=0.02)


def test_exporting_again_gives_the_same_bundle(tiny_run, tmp_path):
    again = Bundle.load(export_folder(tiny_run / "checkpoint", tmp_path / "bundle"))
    assert again.manifest.model == Bundle.load(tiny_run / "bundle").manifest.model


def test_a_model_under_the_gate_is_refused_with_advice_that_works(tiny_run, tmp_path):
    checkpoint = shutil.copytree(tiny_run / "checkpoint", tmp_path / "checkpoint")
    settings = checkpoint / "checkpoint.json"
    found = json.loads(settings.read_text("utf-8"))
    settings.write_text(json.dumps(found | {"min_agreement": 1.01}), encoding="utf-8")
    with pytest.raises(RasdError, match=f"lower min_agreement in {settings}"):
        export_folder(checkpoint, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()

    settings.write_text(json.dumps(found | {"min_agreement": 0.5}), encoding="utf-8")
    metrics = Bundle.load(export_folder(checkpoint, tmp_path / "bundle")).manifest.metrics
    assert metrics["int8_agreement"] >= 0.5


def test_the_tokenizer_states_the_length_that_the_model_reads(tiny_bundle):
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(tiny_bundle).model_max_length == 48


def test_the_threshold_leaves_the_coverage_that_the_configuration_asks_for(tiny_run, tmp_path):
    checkpoint = shutil.copytree(tiny_run / "checkpoint", tmp_path / "checkpoint")
    settings = checkpoint / "checkpoint.json"
    found = {}
    for coverage in (0.5, 1.0):
        changed = json.loads(settings.read_text("utf-8")) | {"coverage": coverage}
        settings.write_text(json.dumps(changed), encoding="utf-8")
        bundle = export_folder(checkpoint, tmp_path / str(coverage))
        texts = [
            json.loads(line)["text"]
            for line in (checkpoint / "held_out.jsonl").read_text("utf-8").splitlines()
        ]
        classifier = Classifier.load(bundle)
        threshold = classifier.bundle.manifest.threshold
        # The tiny model reads few tokens, and an answer to a truncated sentence is never certain.
        answers = classifier.classify(texts)
        found[coverage] = np.mean([answer.probability >= threshold for answer in answers])
    assert found[0.5] == pytest.approx(0.5, abs=0.02)
    assert found[1.0] == 1


def test_a_checkpoint_of_an_older_version_is_exported(tiny_run, tmp_path):
    """Its settings name the pooling; its record has keys that the configuration no longer has."""
    checkpoint = shutil.copytree(tiny_run / "checkpoint", tmp_path / "checkpoint")
    path = checkpoint / "checkpoint.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["pooling"] = "mean"
    settings["provenance"]["seeds"] = {}
    settings["provenance"]["config"]["optimisation"] |= {"layer_decay": 1.0, "seeds": [1]}
    settings["provenance"]["history"][0]["seed"] = 1
    path.write_text(json.dumps(settings), encoding="utf-8")
    bundle = Bundle.load(export_folder(checkpoint, tmp_path / "bundle"))
    assert bundle.manifest.provenance.config["optimisation"]["seeds"] == [1]

    path.write_text(json.dumps(settings | {"pooling": "cls"}), encoding="utf-8")
    with pytest.raises(InputError, match="pooling"):
        export_folder(checkpoint, tmp_path / "other")


def test_training_again_gives_the_same_weights(tiny_run, tiny_encoder, tmp_path, authored):
    from training.config import load_config
    from training.train.run import train

    labelled = tiny_run.parent / "labelled.jsonl"
    config = load_config(
        ROOT / "configs" / "arabert.yaml",
        [
            f"encoder={tiny_encoder}",
            f"data.train=[{labelled}]",
            "max_length=48",
            "export.min_agreement=0.9",
            "optimisation.epochs=2",
            "optimisation.average_last=0.5",
            "data.dev_fraction=0.3",
        ],
    )
    bundle = train(config, tmp_path, command=["rasd", "train"])
    first = Bundle.load(tiny_run / "bundle").manifest
    assert Bundle.load(bundle).manifest.golden_predictions == first.golden_predictions


def test_a_checkpoint_holds_no_trainer_leftovers(tiny_run):
    assert not list(tiny_run.glob("trainer*"))
    held_out = (tiny_run / "checkpoint" / "held_out.jsonl").read_text(encoding="utf-8")
    assert all(json.loads(line)["label"] for line in held_out.splitlines())


def test_sampler_visits_every_sentence_once_an_epoch_and_differs_between_epochs():
    lengths = list(np.random.default_rng(0).integers(4, 90, 1003))
    sampler = LengthSampler(lengths, batch_size=8, seed=3)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(1003))
    assert first != second
    padding = sum(
        max(lengths[i] for i in batch) * len(batch) - sum(lengths[i] for i in batch)
        for batch in (first[k : k + 8] for k in range(0, 1000, 8))
    )
    assert padding < 0.1 * sum(lengths)


def test_training_continues_from_a_bundle_head_included_and_the_record_says_so(
    tiny_bundle, authored, tmp_path
):
    start = restore_checkpoint(tiny_bundle, tmp_path / "start")
    labelled = tmp_path / "labelled.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in authored[300:420])
    labelled.write_text("".join(lines), encoding="utf-8")
    config = load_config(
        ROOT / "configs" / "arabert.yaml",
        [
            f"encoder={start}",
            f"data.train=[{labelled}]",
            "data.dev_fraction=0.3",
            "max_length=48",
            "export.min_agreement=0.5",
            "optimisation.epochs=1",
            "optimisation.learning_rate=1e-7",
            "optimisation.frozen_layers=2",
        ],
    )
    bundle = train(config, tmp_path / "out", command=["rasd", "train"])
    before = load_checkpoint(start).model.state_dict()
    after = load_checkpoint(tmp_path / "out" / "checkpoint").model.state_dict()
    for name, values in before.items():
        assert torch.allclose(after[name], values, atol=1e-4), name
        if name.startswith("encoder."):  # both its layers are frozen
            assert torch.equal(after[name], values), name
    assert not torch.equal(after["head.weight"], before["head.weight"])
    model = Bundle.load(tiny_bundle).manifest.model
    assert Bundle.load(bundle).manifest.provenance.started_from == model
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert f"started from the int8 weights of the bundle `{model}`" in card


def test_sentences_that_are_all_without_weight_are_refused(tiny_encoder, authored, tmp_path):
    """Their loss would be 0, and the bundle that of an untrained model."""
    labelled = tmp_path / "labelled.jsonl"
    rows = [json.dumps(row | {"sure": False}, ensure_ascii=False) + "\n" for row in authored[:300]]
    labelled.write_text("".join(rows), encoding="utf-8")
    settings = [f"encoder={tiny_encoder}", f"data.train=[{labelled}]", "data.unsure_weight=0"]
    config = load_config(ROOT / "configs" / "arabert.yaml", [*settings, "max_length=48"])
    with pytest.raises(InputError, match="every training sentence is unsure\n"):
        train(config, tmp_path / "out", command=["rasd", "train"])
    assert not (tmp_path / "out").exists()
