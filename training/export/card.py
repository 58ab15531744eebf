"""The model card: a bundle's README.md in the Hugging Face form, from its manifest alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.bundle import Manifest
from training.model.checkpoint import trainings

_FOLDER = Path(__file__).parent
_TASK = "text-classification"


def write_card(target: Path, manifest: Manifest) -> None:
    """Write the card of the model that `manifest` describes; every figure comes from there."""
    target.write_text(render_card(manifest), encoding="utf-8")


def render_card(manifest: Manifest) -> str:
    """Return the card as Markdown that begins with the Hugging Face metadata block."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    runs = trainings(manifest.provenance)
    text = environment.get_template("model_card.md").render(
        manifest=manifest,
        metrics=manifest.metrics,
        intervals=manifest.metrics.get("intervals"),
        provenance=manifest.provenance,
        config=manifest.provenance["config"],
        data=manifest.provenance["data"],
        runs=runs,
        students=_students(runs),
        commands=list(dict.fromkeys(_commands(manifest.provenance))),
        span=_span,
    )
    return f"---\n{metadata(manifest).to_yaml()}\n---\n{text}"


def metadata(manifest: Manifest) -> ModelCardData:
    """Return what the Hugging Face hub reads of a model card; its figures are the manifest's."""
    config, metrics = manifest.provenance["config"], manifest.metrics
    held_out = manifest.provenance["data"]["held_out"]
    figures = (
        ("f1", "macro-F1", metrics["macro_f1"], {"average": "macro"}),
        ("accuracy", "accuracy", metrics["accuracy"], None),
        ("ece", "expected calibration error", metrics["ece"], None),
    )
    return ModelCardData(
        language="ar",
        license=config.get("license"),
        # A folder's name is no hub id, and the hub would look for it in vain.
        base_model=config["encoder"] if "/" in config["encoder"] else None,
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
                    "sentences": held_out["sentences"],
                    "fingerprint": held_out["fingerprint"],
                },
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 4),
                metric_args=arguments,
            )
            for kind, name, value, arguments in figures
        ],
    )


def _students(runs: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Return the trainings that learned from other models, of those alike one and the number."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if run.get("distill"):
            learned = repr((run["config"]["distill"]["share"], run["distill"]))
            found.setdefault(learned, []).append(run)
    return [(alike[0], len(alike)) for alike in found.values()]


def _commands(provenance: dict[str, Any]) -> Iterator[str]:
    """Yield what was typed to make a model: first for the models that it is the mean of."""
    for run in provenance.get("averaged", []):
        yield from _commands(run)
    yield provenance["command"]


def _span(interval: dict[str, Any] | None) -> str:
    return "–" if interval is None else f"{interval['low']:.3f}–{interval['high']:.3f}"
