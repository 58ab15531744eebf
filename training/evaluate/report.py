"""The report of an evaluation: one self-contained HTML file, for screen and paper."""

import base64
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from serving.labels import LabelScheme
from training.evaluate.bootstrap import Interval
from training.evaluate.comparison import Comparison
from training.evaluate.measure import Evaluation
from training.evaluate.plots import svg
from training.evaluate.slices import SMALL

_FOLDER = Path(__file__).parent
_WEAKEST = 8


def render_page(
    evaluation: Evaluation,
    comparison: Comparison | None,
    scheme: LabelScheme,
    figures: Mapping[str, Figure],
    record: Mapping[str, Any],
) -> str:
    """Return the report; `record` is the content of `metrics.json`.

    All text from labelled files is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "three": _three, "signed": _signed}
    return environment.get_template("evaluation.html").render(
        evaluation=evaluation,
        metrics=evaluation.metrics,
        intervals=evaluation.intervals,
        comparison=comparison,
        confused=_confused(evaluation, scheme),
        arabic={label.name: label.arabic for label in scheme.labels},
        dimensions=[
            (name, list(parts))
            for name, parts in groupby(evaluation.slices, key=lambda part: part.dimension)
        ],
        weakest=evaluation.weakest[:_WEAKEST],
        floor=_floor([part.accuracy_interval for part in evaluation.slices]),
        label_floor=_floor([span for span in evaluation.intervals.labels.values() if span]),
        reach=_reach(comparison),
        figures={name: _data_uri(figure) for name, figure in figures.items()},
        record=record,
        small=SMALL,
    )


def _confused(evaluation: Evaluation, scheme: LabelScheme) -> list[tuple[int, str, str]]:
    """Return the three most frequent confusions as (sentences, true label, predicted label)."""
    pairs = [
        (number, scheme.names[true], scheme.names[predicted])
        for true, row in enumerate(evaluation.metrics.confusion)
        for predicted, number in enumerate(row)
        if number and true != predicted
    ]
    return sorted(pairs, reverse=True)[:3]


def _floor(intervals: Sequence[Interval]) -> float:
    """Return the start of the axis of a column of bars: a tenth, below every interval."""
    lowest = min((span.low for span in intervals), default=0.0)
    return min(math.floor(lowest * 10), 9) / 10


def _reach(comparison: Comparison | None) -> float:
    """Return the reach of the axis of differences to each side, in twentieths."""
    if comparison is None:
        return 1.0
    pairs = (comparison.macro_f1, comparison.accuracy, *comparison.labels.values())
    widest = max(max(abs(pair.interval.low), abs(pair.interval.high)) for pair in pairs)
    return max(math.ceil(widest * 20), 1) / 20


def _data_uri(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg(figure)).decode("ascii")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _three(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+z.3f}"
