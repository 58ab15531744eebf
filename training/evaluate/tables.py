"""The tables that `rasd evaluate` prints, at most 80 columns wide."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from serving.terminal import counted
from training.evaluate.behaviour import KindResult
from training.evaluate.bootstrap import Interval
from training.evaluate.comparison import Comparison, Paired
from training.evaluate.measure import Evaluation, SliceMetrics
from training.evaluate.metrics import CoveragePoint

_WEAKEST = 5


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command handle a reader (head, less) that has closed the pipe."""
        raise BrokenPipeError


def print_evaluation(evaluation: Evaluation, comparison: Comparison | None = None) -> None:
    """Print metrics, weakest subgroups and comparison; report.html has the rest."""
    metrics = evaluation.metrics
    console = _Console(highlight=False, markup=False, emoji=False)
    console.print(f"{evaluation.model} on {counted(metrics.sentences, 'sentence')}")

    table = _table("label", "precision", "recall", "F1", "95% interval", "sentences")
    for name, item in metrics.labels.items():
        reach = evaluation.intervals.labels[name]
        table.add_row(
            name,
            f"{item.precision:.3f}",
            f"{item.recall:.3f}",
            f"{item.f1:.3f}",
            _interval(reach) if reach else "–",
            f"{item.support:,}",
        )
    console.print(table)
    spans = evaluation.intervals
    console.print(
        f"macro-F1 {metrics.macro_f1:.3f} ({_interval(spans.macro_f1)})   "
        f"accuracy {metrics.accuracy:.3f} ({_interval(spans.accuracy)})"
    )
    console.print(
        f"ECE {metrics.ece:.3f} ({_interval(spans.ece)})   "
        f"Brier {metrics.brier:.3f}   NLL {metrics.nll:.3f}"
    )
    if evaluation.calibrated:
        before = evaluation.uncalibrated
        console.print(f"before calibration: ECE {before.ece:.3f}   NLL {before.nll:.3f}")

    table = _table("coverage", "threshold", "accuracy")
    for point in evaluation.coverage:
        table.add_row(*_point(point))
    table.add_section()
    table.add_row(*_point(evaluation.certain), "the bundle's threshold")
    console.print(table)

    _print_weakest(console, evaluation)
    if comparison is not None:
        _print_comparison(console, comparison)
    for number, what in (
        (evaluation.refused, "rejected (no letter or digit), in no metric above"),
        (evaluation.truncated, "too long: only their beginning was classified"),
    ):
        if number:
            console.print(f"{counted(number, 'sentence')} {what}")


def print_behaviour(results: Sequence[tuple[str, Sequence[KindResult]]]) -> None:
    """Print how many cases of each kind every model passes, then what the first one fails."""
    console = _Console(highlight=False, markup=False, emoji=False)
    table = _table("kind", "cases", *(name for name, _ in results))
    columns = [[*kinds, _total(kinds)] for _, kinds in results]
    for row in zip(*columns, strict=True):
        shares = (f"{kind.passed:,} ({kind.passed / kind.cases:.0%})" for kind in row)
        table.add_row(row[0].kind, f"{row[0].cases:,}", *shares)
    console.print(table)
    for failure in columns[0][-1].failures:
        case = failure.case
        expected = f"{failure.base}, as {case.group}" if case.expect == "same" else case.label
        answer = failure.answer or "refused"
        console.print(f"{case.id} {case.kind}: {answer}, expected {expected}", soft_wrap=True)
        console.print(f"    {case.text}", soft_wrap=True)


def _print_weakest(console: Console, evaluation: Evaluation) -> None:
    table = _table("weakest subgroups", "sentences", "accuracy", "95% interval", "macro-F1")
    for part in evaluation.weakest[:_WEAKEST]:
        table.add_row(*_slice(part))
    if table.row_count:
        console.print(table)
        if any(part.weak for part in evaluation.weakest[:_WEAKEST]):
            console.print("* significantly below the overall accuracy")


def _print_comparison(console: Console, comparison: Comparison) -> None:
    table = _table(f"against {comparison.other}", "model", "compared", "difference", "95% interval")
    rows = {"macro-F1": comparison.macro_f1, "accuracy": comparison.accuracy, **comparison.labels}
    for name, pair in rows.items():
        table.add_row(name, *_paired(pair))
    console.print(table)
    console.print(
        f"only the model right {comparison.only_model_right:,}, only the compared one "
        f"{comparison.only_other_right:,}; McNemar's exact p {comparison.mcnemar_p:.3g}"
    )
    console.print(f"the model is {comparison.conclusion}")


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, pad_edge=False)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _total(kinds: Sequence[KindResult]) -> KindResult:
    failures = tuple(failure for kind in kinds for failure in kind.failures)
    return KindResult("all", sum(kind.cases for kind in kinds), failures)


def _slice(part: SliceMetrics) -> tuple[str, ...]:
    return (
        f"{part.dimension}: {part.value}" + (" *" if part.weak else ""),
        f"{part.sentences:,}",
        f"{part.accuracy:.3f}",
        _interval(part.accuracy_interval),
        f"{part.macro_f1:.3f}",
    )


def _paired(pair: Paired) -> tuple[str, ...]:
    span = f"{pair.interval.low:+z.3f} to {pair.interval.high:+z.3f}"
    return f"{pair.model:.3f}", f"{pair.other:.3f}", f"{pair.difference:+z.3f}", span


def _interval(span: Interval) -> str:
    return f"{span.low:.3f}–{span.high:.3f}"


def _point(point: CoveragePoint) -> tuple[str, str, str]:
    accuracy = "–" if point.accuracy is None else f"{point.accuracy:.3f}"
    return f"{point.coverage:.1%}", f"{point.threshold:.3f}", accuracy
