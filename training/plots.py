"""The pictures of an evaluation: confusion matrix and reliability diagram, as PNG files.

They must survive a black-and-white print: every number is written out, text takes its colour from
the shade behind it, and what is told apart by hue differs in lightness too.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from serving.labels import LabelScheme
from training.calibration import FloatArray, IntArray
from training.metrics import ReliabilityBin, expected_calibration_error

_DPI = 160
_DARK, _LIGHT, _WARM = "#12406b", "#a9c4dd", "#d55e00"


def draw_confusion(
    confusion: Sequence[Sequence[int]], scheme: LabelScheme, path: Path, *, title: str
) -> None:
    """Write the matrix (rows true, columns predicted) to `path`, shaded by share of its row."""
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
    figure.savefig(path, dpi=_DPI, format="png")


def draw_reliability(bins: Sequence[ReliabilityBin], path: Path, *, title: str) -> None:
    """Write the reliability diagram and, under it, the histogram of the probabilities."""
    figure = Figure(figsize=(6.4, 7.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    _draw_gaps(above, bins)
    error = expected_calibration_error(bins)
    above.set_title(_wrapped(f"{title}\nexpected calibration error {error:.3f}"), pad=10)

    columns = below.bar(
        [item.lower for item in bins],
        [item.count for item in bins],
        width=[item.upper - item.lower for item in bins],
        align="edge",
        color=_LIGHT,
        edgecolor=_DARK,
    )
    below.bar_label(columns, fmt=_short, fontsize=7, padding=2)
    below.margins(y=0.15)
    below.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    below.set_ylabel("Sentences")
    below.set_xlabel("Probability of the predicted label")
    below.set_xlim(0, 1)
    below.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)  # hides no bar there
    figure.savefig(path, dpi=_DPI, format="png")


def _draw_gaps(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    """Draw each bin's accuracy as a bar, and the gap between it and the mean probability."""
    width = [item.upper - item.lower for item in bins]
    left = [item.lower for item in bins]
    accuracy = np.array([item.accuracy for item in bins])
    confidence = np.array([item.confidence for item in bins])
    axes.bar(
        left,
        accuracy,
        width=width,
        align="edge",
        color=_LIGHT,
        edgecolor=_DARK,
        label="accuracy",
    )
    axes.bar(
        left,
        confidence - accuracy,
        bottom=accuracy,
        width=width,
        align="edge",
        facecolor="none",
        edgecolor=_WARM,
        hatch="////",
        linewidth=0.8,
        label="gap to the mean probability",
    )
    axes.errorbar(
        [(item.lower + item.upper) / 2 for item in bins],
        accuracy,
        yerr=_wilson(accuracy, np.array([item.count for item in bins])),
        fmt="none",
        ecolor="black",
        elinewidth=1,
        capsize=3,
        label="95% interval of the accuracy",
    )
    axes.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1, label="perfect")
    axes.set_ylim(0, 1)
    axes.set_ylabel("Share that is right")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _wilson(share: FloatArray, count: IntArray) -> FloatArray:
    """Return how far Wilson's 95% interval reaches below and above each share, as (2, n)."""
    z = 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    reach: FloatArray = np.maximum(np.stack([share - centre, centre - share]) + spread, 0)
    return reach


def _short(count: float) -> str:
    """Write a count so that it is no wider than its bar."""
    return f"{count:,.0f}" if count < 10_000 else f"{count / 1000:,.0f}k"


def _wrapped(title: str) -> str:
    """Break long lines, which would run out of the picture."""
    return "\n".join(textwrap.fill(line, 60) for line in title.split("\n"))
