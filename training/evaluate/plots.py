"""The plots of an evaluation: confusion matrix, reliability diagram, coverage curve.

They are readable in black and white: numbers are written out, text contrasts with its background,
and series differ in marker, line or lightness as well as in hue.
"""

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from serving.labels import LabelScheme
from training.arrays import FloatArray, IntArray
from training.evaluate.metrics import CoveragePoint, ReliabilityBin, expected_calibration_error

_DPI = 160
_DARK, _LIGHT, _WARM = "#12406b", "#a9c4dd", "#d55e00"


def png(figure: Figure) -> bytes:
    """Return the plot as a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=_DPI, format="png")
    return stream.getvalue()


def svg(figure: Figure) -> bytes:
    """Return the plot as an SVG file: the same bytes for the same plot.

    Letters are drawn as shapes, so that Arabic looks right without an Arabic font.
    """
    stream = io.BytesIO()
    with rc_context({"svg.hashsalt": "rasd", "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def confusion_figure(
    confusion: Sequence[Sequence[int]], scheme: LabelScheme, *, title: str
) -> Figure:
    """Draw the matrix (rows true, columns predicted), shaded by share of its row."""
    counts = np.asarray(confusion, dtype=np.int64)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    size = len(scheme.labels)
    cell = max(1.35, 0.09 * max(map(len, scheme.names)))  # inches: a name fits under its column

    figure = Figure(figsize=(2.6 + cell * size, 1.8 + 1.05 * size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(size, size):
        red, green, blue, _ = image.cmap(image.norm(shares[row, column]))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{shares[row, column]:.1%}" if totals[row] else "–",
            ha="center",
            va="center",
            color="white" if dark else "black",
            weight="bold" if row == column else "normal",
        )
    names = [f"{label.name}\n{label.arabic}" for label in scheme.labels]
    axes.set_xticks(range(size), names)
    axes.set_yticks(
        range(size), [f"{name}\nn = {n:,}" for name, n in zip(names, totals, strict=True)]
    )
    axes.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#bbbbbb", linewidth=0.8)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("Predicted label", labelpad=8)
    axes.set_ylabel("True label", labelpad=8)
    axes.set_title(_wrapped(title), pad=12)
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1, decimals=0), pad=0.02)
    bar.set_label("share of the true label's sentences")
    bar.outline.set_visible(False)
    return figure


def reliability_figure(
    after: Sequence[ReliabilityBin],
    before: Sequence[ReliabilityBin],
    *,
    title: str,
) -> Figure:
    """Draw accuracy against probability, with a histogram of the probabilities below.

    `after` is the calibrated model, `before` the same model with a plain softmax; it is empty for a
    model without a calibration of its own.
    """
    figure = Figure(figsize=(6.4, 7.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="perfect")
    if before:
        above.plot(
            [item.confidence for item in before],
            [item.accuracy for item in before],
            color=_WARM,
            linestyle=":",
            marker="o",
            markerfacecolor="white",
            label=f"before calibration: ECE {expected_calibration_error(before):.3f}",
        )
    accuracy = np.array([item.accuracy for item in after])
    error = f"ECE {expected_calibration_error(after):.3f}, with 95% intervals"
    above.errorbar(
        [item.confidence for item in after],
        accuracy,
        yerr=_wilson(accuracy, np.array([item.count for item in after])),
        color=_DARK,
        marker="s",
        elinewidth=0.8,
        capsize=3,
        label=f"after calibration: {error}" if before else error,
    )
    above.set_ylim(-0.03, 1.03)
    above.set_ylabel("Accuracy")
    above.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    above.set_title(_wrapped(title), pad=10)

    # Side by side within each bin, so that neither hides the other.
    columns = _histogram(below, after, 0, facecolor=_LIGHT, edgecolor=_DARK)
    if before:
        _histogram(below, before, 0.5, facecolor="none", edgecolor=_WARM, hatch="//////")
    below.bar_label(columns, fmt=_short, fontsize=7, padding=2)
    below.margins(y=0.15)
    below.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    below.set_ylabel("Sentences\n(hatched: before)" if before else "Sentences")
    below.set_xlabel("Probability of the predicted label")
    below.set_xlim(-0.02, 1.02)
    below.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _plain(above, below)
    figure.legend(loc="outside lower center", ncols=1, frameon=False)
    return figure


def coverage_figure(
    curve: Sequence[CoveragePoint], certain: CoveragePoint, *, title: str
) -> Figure:
    """Draw the accuracy of the most confident sentences against their share of all.

    `certain` is the point of the bundle's own threshold.
    """
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    points = [(point.coverage, point.accuracy) for point in curve if point.accuracy is not None]
    axes.plot(
        [coverage for coverage, _ in points],
        [accuracy for _, accuracy in points],
        color=_DARK,
        marker=".",
        label="the most confident sentences",
    )
    if certain.accuracy is not None:
        axes.plot(
            certain.coverage,
            certain.accuracy,
            linestyle="none",
            marker="D",
            markersize=10,
            markerfacecolor="white",
            markeredgecolor=_WARM,
            markeredgewidth=2,
            label=f"the bundle's threshold {certain.threshold:.3f}: "
            f"coverage {certain.coverage:.1%}, accuracy {certain.accuracy:.1%}",
        )
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("Coverage (share of the sentences)")
    axes.set_ylabel("Accuracy")
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title(_wrapped(title), pad=10)
    _plain(axes)
    figure.legend(loc="outside lower center", frameon=False)
    return figure


def _histogram(
    axes: Axes, bins: Sequence[ReliabilityBin], offset: float, **style: str
) -> BarContainer:
    """Draw bars of half their bin's width, shifted by `offset` (0 to 0.5) of that width."""
    width = np.array([item.upper - item.lower for item in bins])
    return axes.bar(
        np.array([item.lower for item in bins]) + offset * width,
        [item.count for item in bins],
        width=width / 2,
        align="edge",
        **style,
    )


def _plain(*every: Axes) -> None:
    """Remove frame lines that carry no information."""
    for axes in every:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)


def _wilson(share: FloatArray, count: IntArray) -> FloatArray:
    """Return the reach of Wilson's 95 % interval below and above each share, as (2, n)."""
    z = 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    reach: FloatArray = np.maximum(np.stack([share - centre, centre - share]) + spread, 0)
    return reach


def _short(count: float) -> str:
    """Write a count in at most the width of its bar."""
    return f"{count:,.0f}" if count < 10_000 else f"{count / 1000:,.0f}k"


def _wrapped(title: str) -> str:
    """Break lines that are too long for the plot."""
    return "\n".join(textwrap.fill(line, 60) for line in title.split("\n"))
