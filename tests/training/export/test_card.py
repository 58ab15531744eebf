"""The model card: what the hub reads of it is valid, and every figure is the manifest's."""

import re
from dataclasses import asdict

import numpy as np
import pytest
from huggingface_hub import ModelCard

from serving.bundle import Bundle, shipped_model
from training.evaluate.bootstrap import bootstrap
from training.export.card import render_card


def changed(config=(), **metrics):
    """The manifest of the included model, with other settings and metrics."""
    manifest = Bundle.load(shipped_model()).manifest
    settings = manifest.provenance.config | dict(config)
    provenance = manifest.provenance.model_copy(update={"config": settings})
    return manifest.model_copy(
        update={"provenance": provenance, "metrics": manifest.metrics | metrics}
    )


def card_of(manifest):
    return render_card(manifest, manifest.provenance)


def with_intervals():
    names = Bundle.load(shipped_model()).scheme.names
    labels = np.arange(60) % 4  # the last label is in no sentence
    return asdict(bootstrap(labels, np.eye(len(names))[labels], names, resamples=20))


@pytest.mark.parametrize("intervals", [{}, {"intervals": with_intervals()}], ids=["old", "new"])
def test_the_metadata_block_is_what_the_hub_reads(intervals):
    manifest = changed({"license": "apache-2.0"}, **intervals)
    card = ModelCard(card_of(manifest))
    data = card.data
    assert (data.language, data.license) == ("ar", "apache-2.0")
    assert data.base_model == "intfloat/multilingual-e5-small"
    assert (data.pipeline_tag, data.library_name) == ("text-classification", "rasd")
    assert "arabic" in data.tags
    figures = {result.metric_name: result.metric_value for result in data.eval_results}
    assert figures == {
        "macro-F1": pytest.approx(manifest.metrics["macro_f1"], abs=1e-4),
        "accuracy": pytest.approx(manifest.metrics["accuracy"], abs=1e-4),
        "expected calibration error": pytest.approx(manifest.metrics["ece"], abs=1e-4),
    }
    held_out = manifest.provenance.data.held_out
    assert data.eval_results[0].dataset_args["fingerprint"] == held_out.fingerprint


def test_nothing_is_said_that_is_not_known():
    manifest = changed({"license": None, "encoder": "my-folder", "encoder_credit": None})
    card = ModelCard(card_of(manifest))
    assert card.data.license is None
    assert card.data.base_model is None
    assert "None" not in card.content


def test_trainings_that_learned_from_the_same_models_are_told_of_once():
    student = Bundle.load(shipped_model("fast")).manifest
    made = student.provenance.runs()[0]
    of_seeds = tuple(made.model_copy(update={"weights": str(seed)}) for seed in range(3))
    mean = made.model_copy(update={"averaged": of_seeds})
    manifest = student.model_copy(update={"provenance": mean})
    runs = manifest.provenance.runs()
    taught = [run for run in runs if run.distill]
    assert len(taught) == 3
    text = card_of(manifest)
    for teachers in {", ".join(run.distill.teachers) for run in taught}:
        alike = [run for run in taught if ", ".join(run.distill.teachers) == teachers]
        line = rf"in {len(alike)} of {len(runs)} training runs: .* \({re.escape(teachers)}\)"
        assert len(re.findall(line, text)) == 1


def test_a_mean_of_runs_names_the_sentences_of_each():
    manifest = changed()
    run = manifest.provenance.runs()[0]
    more = run.data.train.model_copy(update={"sentences": 1234567, "fingerprint": "f" * 64})
    parts = [run.model_copy(update={"weights": str(number)}) for number in range(3)]
    parts[2] = parts[2].model_copy(
        update={
            "data": run.data.model_copy(update={"train": more}),
            "config": run.config | {"data": run.config["data"] | {"train": ["more.jsonl"]}},
        }
    )
    mean = run.model_copy(update={"averaged": tuple(parts)})
    text = card_of(manifest.model_copy(update={"provenance": mean}))
    assert f"| train (2 of 3 runs) | {run.data.train.sentences:,} |" in text
    assert re.search(r"\| train \(1 of 3 runs\) \| 1,234,567 \|.* more\.jsonl \| `f{16}` \|", text)
    assert "| train |" not in text


@pytest.mark.parametrize("intervals", [{}, {"intervals": with_intervals()}], ids=["old", "new"])
def test_every_row_of_a_table_has_the_cells_of_its_head(intervals):
    text = card_of(changed(**intervals))
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.M)
    assert len(tables) == 4
    for table in tables:
        head, *rows = table.splitlines()
        assert len(rows) >= 3
        assert {row.count("|") for row in rows} == {head.count("|")}


def test_the_card_says_what_it_takes_to_judge_the_figures():
    manifest = changed()
    text = card_of(manifest)
    assert "Chosen on these same sentences" in text
    assert manifest.provenance.command in text
    assert " ".join(manifest.provenance.environment.cpu_flags) in text
    for side in ("train", "held_out"):
        assert getattr(manifest.provenance.data, side).fingerprint[:16] in text
    for row in manifest.metrics["labels"].values():
        assert f"| {row['f1']:.3f} |" in text


def test_the_card_of_a_retrained_model_says_what_corrections_and_the_champion_were_for():
    manifest = Bundle.load(shipped_model()).manifest
    data = manifest.provenance.config["data"] | {"corrections": ["new.jsonl"]}
    retrained = changed({"data": data})
    assert "(none on those of new.jsonl)" in card_of(retrained)
    assert "(none on" not in card_of(manifest)
    agreeing = {"kept": "average", "calibration_of": "default@0123456789ab", "averaged": ()}
    record = retrained.provenance.model_copy(update=agreeing)
    text = card_of(retrained.model_copy(update={"provenance": record}))
    assert "Chosen on these same sentences" not in text
    assert "Nothing was chosen on these sentences" in text
    assert "agrees with that of `default@0123456789ab`" in text


def test_the_card_of_a_run_lies_in_its_bundle_with_intervals(tiny_bundle):
    manifest = Bundle.load(tiny_bundle).manifest
    text = (tiny_bundle / "README.md").read_text(encoding="utf-8")
    assert text == card_of(manifest.model_copy(update={"golden_predictions": ()}))
    assert "95% interval" in text
    assert manifest.golden_arithmetic is not None
    assert manifest.golden_arithmetic.onnxruntime in text
    low, high = manifest.metrics["intervals"]["accuracy"].values()
    assert low <= manifest.metrics["accuracy"] <= high
