"""The model card: a bundle's README.md, written from its manifest alone."""

from pathlib import Path
from typing import Any

from serving.bundle import Manifest

_USE_AND_LIMITS = """\
For sorting and counting sentences of Arabic news about armed conflict, with a person reading what
matters. A label says what a sentence does (report, claim, deny, answer), not whether it is true,
and
must not be the only ground for a decision about a person. Each sentence is read alone, without its
article. Other topics, dialect, verse and machine translation were not measured."""


def write_card(target: Path, manifest: Manifest) -> None:
    """Write the card of the model that `manifest` describes; every figure comes from there."""
    target.write_text(render_card(manifest), encoding="utf-8")


def render_card(manifest: Manifest) -> str:
    """Return the card as Markdown with the Hugging Face metadata block."""
    provenance, metrics = manifest.provenance, manifest.metrics
    data, config = provenance["data"], provenance["config"]
    return "\n".join(
        (
            "---",
            "language: ar",
            "pipeline_tag: text-classification",
            "library_name: rasd",
            "---",
            f"# {manifest.model}",
            "",
            "Labels one sentence of Arabic conflict news: "
            + ", ".join(f"`{label.name}` ({label.arabic})" for label in manifest.scheme.labels)
            + ".",
            "",
            f"Fine-tuned from `{config['encoder']}`{_credit(config)}, exported to ONNX, "
            "int8 weights "
            "with one activation scale a token. Reads at most "
            f"{manifest.max_length} tokens a sentence.",
            "",
            "## Figures",
            f"On {metrics['sentences']:,} held-out sentences, int8, after calibration:",
            "",
            "| macro-F1 | accuracy | ECE | Brier | int8 labels as fp32 |",
            "| ---: | ---: | ---: | ---: | ---: |",
            f"| {metrics['macro_f1']:.3f} | {metrics['accuracy']:.3f} | {metrics['ece']:.3f} "
            f"| {metrics['brier']:.3f} | {metrics['int8_agreement']:.1%} |",
            "",
            "| label | precision | recall | F1 | sentences |",
            "| --- | ---: | ---: | ---: | ---: |",
            *(
                f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} "
                f"| {row['support']} |"
                for name, row in metrics["labels"].items()
            ),
            "",
            "| share answered | accuracy |",
            "| ---: | ---: |",
            *(f"| {row['coverage']:.0%} | {row['accuracy']:.3f} |" for row in metrics["coverage"]),
            "",
            f"Temperature {manifest.temperature:.3f}; a label is certain from probability "
            f"{manifest.threshold:.3f}. Temperature, threshold and epoch were chosen on these "
            "same sentences, so expect a little less elsewhere.",
            "",
            "## Data",
            f"{data['train']['sentences']:,} training sentences "
            f"({', '.join(f'{name} {n:,}' for name, n in data['train']['labels'].items())}); "
            f"sha256 of their texts and labels `{data['train']['fingerprint'][:16]}`. Held out: "
            f"`{data['held_out']['fingerprint'][:16]}`. The labels are consistent under written "
            "guidelines; that is not proof of truth.",
            "",
            "## Use and limits",
            _USE_AND_LIMITS,
            "",
            "## Made by",
            f"`{provenance['command']}`, seed {config['optimisation']['seed']}, "
            f"{', '.join(f'{n} {v}' for n, v in provenance['environment']['packages'].items())}; "
            f"CPU: {' '.join(provenance['environment']['cpu_flags'])}.",
            "",
        )
    )


def _credit(config: dict[str, Any]) -> str:
    return f" ({config['encoder_credit']})" if config.get("encoder_credit") else ""
