"""The model card: a bundle's README.md in the Hugging Face form, made from its manifest."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.bundle import Manifest
from serving.provenance import Provenance, Side

_FOLDER = Path(__file__).parent
_TASK = "text-classification"


def render_card(manifest: Manifest, provenance: Provenance) -> str:
    """Return the card as Markdown that begins with the Hugging Face metadata block."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    runs = provenance.runs()
    text = environment.get_template("model_card.md").render(
        manifest=manifest,
        metrics=manifest.metrics,
        intervals=manifest.metrics.get("intervals"),
        provenance=provenance,
        config=provenance.config,
        sides=_sides(provenance, runs),
        runs=runs,
        students=_students(runs),
        span=_span,
    )
    return f"---\n{metadata(manifest, provenance).to_yaml()}\n---\n{text}"


def metadata(manifest: Manifest, provenance: Provenance) -> ModelCardData:
    """Return what the Hugging Face hub reads of a model card; its metrics are the manifest's."""
    metrics, held_out = manifest.metrics, provenance.data.held_out
    figures = (
        ("f1", "macro-F1", metrics["macro_f1"], {"average": "macro"}),
        ("accuracy", "accuracy", metrics["accuracy"], None),
        ("ece", "expected calibration error", metrics["ece"], None),
    )
    encoder = provenance.config["encoder"]
    return ModelCardData(
        language="ar",
        license=provenance.config.get("license"),
        # A folder's name is not a hub id, and the hub would not find it.
        base_model=encoder if "/" in encoder else None,
        pipeline_tag=_TASK,
        library_name="rasd",
        tags=["arabic", "news", "conflict", "onnx", "int8"],
        model_name=manifest.name,
        eval_results=[
            EvalResult(
                task_type=_TASK,
                dataset_type="held-out",
                dataset_name="held-out sentences",
                dataset_args={
                    "sentences": held_out.sentences,
                    "fingerprint": held_out.fingerprint,
                },
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 4),
                metric_args=arguments,
            )
            for kind, name, value, arguments in figures
        ],
    )


def _sides(
    provenance: Provenance, runs: Sequence[Provenance]
) -> list[tuple[str, Side, Sequence[str]]]:
    """Return name, sentences and files of what was learned, once if all runs agree, and held out.

    Runs whose mean the weights are may have learned different sentences.
    """
    learned: dict[str, list[Provenance]] = {}
    for run in runs:
        learned.setdefault(run.data.train.fingerprint, []).append(run)
    rows: list[tuple[str, Side, Sequence[str]]] = []
    for alike in learned.values():
        name = "train" if len(learned) == 1 else f"train ({len(alike)} of {len(runs)} runs)"
        rows.append((name, alike[0].data.train, alike[0].config["data"]["train"]))
    rows.append(("held out", provenance.data.held_out, provenance.config["data"]["dev"]))
    return rows


def _students(runs: Sequence[Provenance]) -> list[tuple[Provenance, int]]:
    """Return one of the runs for each set of teachers and text, and the number of such runs."""
    found: dict[str, list[Provenance]] = {}
    for run in runs:
        if run.distill:
            corrections = run.config["data"].get("corrections")
            learned = repr((run.config["distill"]["share"], corrections, run.distill))
            found.setdefault(learned, []).append(run)
    return [(alike[0], len(alike)) for alike in found.values()]


def _span(interval: dict[str, Any] | None) -> str:
    return "–" if interval is None else f"{interval['low']:.3f}–{interval['high']:.3f}"
