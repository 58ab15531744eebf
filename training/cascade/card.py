"""The card of a cascade: its bundle's README.md in the Hugging Face form."""

from collections.abc import Sequence

from serving.bundle import Manifest

_CARD = """\
---
language: ar
library_name: rasd
pipeline_tag: text-classification
tags: [arabic, news, conflict, onnx, int8]
---
# {model}

Two models that answer as one. `{first}` answers; where its probability is below {below:g},
`{second}` answers instead: on {asked:.0%} of the held-out sentences. Both models'
own cards say what they were trained on and what they are not for.

```sh
rasd classify article.txt --model FOLDER  # this folder
```

## Metrics
On {sentences:,} held-out sentences ({files}). {used}, so the metrics are slightly optimistic.

| | value | 95% interval |
| --- | ---: | ---: |
{rows}

| label | precision | recall | F1 | sentences |
| --- | ---: | ---: | ---: | ---: |
{labels}

A label is certain if its probability is at least {threshold:.3f}.

## Made by
```sh
{command}
```
"""


_ALSO = (
    "They were also used to choose and calibrate {models}, and for the threshold of this cascade"
)
_ONLY = "The threshold of this cascade was chosen on them"


def render_card(
    manifest: Manifest, files: Sequence[str], command: str, *, known: Sequence[str]
) -> str:
    """Return the card as Markdown that begins with the Hugging Face metadata block.

    `known` are those of the two models that were chosen and calibrated on the same sentences.
    """
    metrics, cascade = manifest.metrics, manifest.cascade
    assert cascade is not None
    names = {
        "macro_f1": "macro-F1",
        "accuracy": "accuracy",
        "ece": "expected calibration error",
    }
    rows = "\n".join(
        f"| {name} | {metrics[key]:.3f} | {_span(metrics['intervals'][key])} |"
        for key, name in names.items()
    )
    both = "the two\nmodels" if len(known) == 2 else ", ".join(f"`{model}`" for model in known)
    labels = "\n".join(
        f"| {name} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} "
        f"| {row['support']:,} |"
        for name, row in metrics["labels"].items()
    )
    return _CARD.format(
        model=manifest.model,
        first=cascade.first.model,
        second=cascade.second.model,
        below=cascade.below,
        asked=metrics["second_asked"],
        sentences=metrics["sentences"],
        files=", ".join(files),
        used=_ALSO.format(models=both) if known else _ONLY,
        rows=rows,
        labels=labels,
        threshold=manifest.threshold,
        command=command,
    )


def _span(interval: dict[str, float] | None) -> str:
    return "–" if interval is None else f"{interval['low']:.3f}–{interval['high']:.3f}"
