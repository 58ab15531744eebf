"""Millions of results added up in bounded memory: counts, samples, lists of sentences."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from serving.labels import Label, LabelScheme
from serving.report.results import Result
from serving.report.sample import Reservoir, Top

ROWS = 5000  # of the page's table
SENTENCES = 10  # of a list
OUTLETS = 10_000  # counted one by one; an archive with more has no outlets in that field
OUTLETS_SHOWN = 40
DAYS_SHOWN = 30
DAY_SENTENCES = 3
# For labels that the shipped models do not have.
_COLOURS = ("#e69f00", "#56b4e9", "#8a6d00", "#8a4fa3", "#3f7f3f", "#a33f3f")


@dataclass(frozen=True, slots=True)
class Report:
    """What the page shows, as JSON types. `table` is a sample of the results if they are many."""

    figures: dict[str, Any]
    table: list[dict[str, Any]]


class Summary:
    """Takes results one by one; memory grows only with the number of distinct days."""

    def __init__(self, scheme: LabelScheme) -> None:
        """Take the scheme that gives labels their order, Arabic names and colours."""
        self._known = {label.name: label for label in scheme.labels}
        self._labels: Counter[str] = Counter()
        self._uncertain: Counter[str] = Counter()
        self._models: set[str] = set()
        self._sentences = self._documents = self._errors = self._truncated = 0
        self._document: str | None = None
        self._days: defaultdict[date, Counter[str]] = defaultdict(Counter)
        self._outlets: defaultdict[str | None, Counter[str]] = defaultdict(Counter)
        self._confident: defaultdict[str, Top] = defaultdict(lambda: Top(SENTENCES))
        self._doubtful = Top(2 * SENTENCES)
        self._of_day: defaultdict[tuple[date, str], Top] = defaultdict(lambda: Top(DAY_SENTENCES))
        self._rows: defaultdict[str, Reservoir[tuple[int, Result]]] = defaultdict(
            lambda: Reservoir(ROWS)
        )

    def add(self, result: Result) -> None:
        """Count one result."""
        self._sentences += 1
        self._documents += result.doc_id != self._document
        self._document = result.doc_id
        self._models.add(result.model)
        self._truncated += result.truncated
        if result.label is None or result.probability is None:
            self._errors += 1
            return
        label = result.label
        self._labels[label] += 1
        self._uncertain[label] += not result.certain
        self._confident[label].add(result.probability, result)
        self._doubtful.add(-result.probability, result)
        self._rows[label].add((self._sentences, result))
        if result.outlet:
            known = result.outlet in self._outlets or len(self._outlets) < OUTLETS
            self._outlets[result.outlet if known else None][label] += 1
        if result.day:
            self._days[result.day][label] += 1
            if label in ("claim", "denial"):
                self._of_day[result.day, label].add(result.probability, result)

    def report(self, inputs: Sequence[str]) -> Report:
        """Return what was counted; `inputs` are the names of the results."""
        labelled = self._labels.total()
        names = [name for name in self._known if name in self._labels]
        names += sorted(self._labels.keys() - self._known.keys())
        rows = self._table()
        figures = {
            "inputs": list(inputs),
            "made": datetime.now(UTC).date().isoformat(),
            "models": sorted(self._models),
            "documents": self._documents,
            "sentences": self._sentences,
            "not_labelled": self._errors,
            "truncated": self._truncated,
            "uncertain": self._uncertain.total(),
            "uncertain_share": self._uncertain.total() / labelled if labelled else None,
            "labels": [self._label(name, position) for position, name in enumerate(names)],
            "first_day": min(self._days).isoformat() if self._days else None,
            "last_day": max(self._days).isoformat() if self._days else None,
            "dated": sum(counts.total() for counts in self._days.values()),
            "periods": _periods(self._days),
            "outlets": self._outlet_rows(),
            "confident": {
                name: [_shown(result) for result in self._confident[name].best_first()]
                for name in names
            },
            "doubtful": [_shown(result) for result in self._doubtful.best_first()],
            **self._denied_days(),
            "table_rows": len(rows),
        }
        return Report(figures, rows)

    def _label(self, name: str, position: int) -> dict[str, Any]:
        label = self._known.get(name) or Label.model_construct(
            name=name, arabic="", colour=_COLOURS[position % len(_COLOURS)]
        )
        counts = {"count": self._labels[name], "uncertain": self._uncertain[name]}
        return {"name": name, "arabic": label.arabic, "colour": label.colour, **counts}

    def _outlet_rows(self) -> list[dict[str, Any]]:
        """Return the outlets with most sentences, the others as one."""
        named = [(name, counts) for name, counts in self._outlets.items() if name]
        named.sort(key=lambda item: (-item[1].total(), item[0]))
        rows: list[dict[str, Any]] = [
            {"name": name, "counts": dict(counts)} for name, counts in named[:OUTLETS_SHOWN]
        ]
        rest = sum(
            (counts for _, counts in named[OUTLETS_SHOWN:]), self._outlets.get(None) or Counter()
        )
        if rest:
            rows.append({"name": None, "counts": dict(rest)})
        return rows

    def _denied_days(self) -> dict[str, Any]:
        """Return the days with the most denials among those that also have claims, newest first."""
        both = [day for day, counts in self._days.items() if counts["denial"] and counts["claim"]]
        chosen = sorted(both, key=lambda day: (-self._days[day]["denial"], day))[:DAYS_SHOWN]
        days = [
            {
                "day": day.isoformat(),
                **{
                    f"{label}s": {
                        "count": self._days[day][label],
                        "sentences": [_shown(r) for r in self._of_day[day, label].best_first()],
                    }
                    for label in ("claim", "denial")
                },
            }
            for day in sorted(chosen, reverse=True)
        ]
        return {"denied_days": days, "days_with_both": len(both)}

    def _table(self) -> list[dict[str, Any]]:
        """Return up to ROWS results, evenly over the labels as far as each has enough."""
        chosen: list[tuple[int, Result]] = []
        samples = sorted((sample.items for sample in self._rows.values()), key=len)
        for position, items in enumerate(samples):
            chosen += items[: (ROWS - len(chosen)) // (len(samples) - position)]
        return [_shown(result) for _, result in sorted(chosen, key=lambda item: item[0])]


def _shown(result: Result) -> dict[str, Any]:
    values = {
        "text": result.text,
        "label": result.label,
        "probability": round(result.probability or 0, 3),
        "certain": result.certain,
        "document": result.doc_id,
        "day": result.day and result.day.isoformat(),
        "outlet": result.outlet,
        "url": result.url,
    }
    return {name: value for name, value in values.items() if value is not None}


def _periods(days: dict[date, Counter[str]]) -> dict[str, Any] | None:
    """Return counts by day, week, month or year: whichever gives at most about a hundred bars."""
    if not days:
        return None
    first, last = min(days), max(days)
    span = (last - first).days
    unit = next(
        (unit for unit, most in (("day", 92), ("week", 730), ("month", 3000)) if span <= most),
        "year",
    )
    counts: defaultdict[date, Counter[str]] = defaultdict(Counter)
    for day, of_day in days.items():
        counts[_start(day, unit)] += of_day
    starts = _starts(_start(first, unit), last, unit)
    rows = [{"start": start.isoformat(), "counts": dict(counts[start])} for start in starts]
    return {"unit": unit, "rows": rows}


def _start(day: date, unit: str) -> date:
    """Return the first day of the period that `day` is in; weeks begin on Monday."""
    if unit == "week":
        return date.fromordinal(max(1, day.toordinal() - day.weekday()))
    if unit == "day":
        return day
    return day.replace(day=1) if unit == "month" else day.replace(month=1, day=1)


def _starts(start: date, last: date, unit: str) -> Iterable[date]:
    """Yield the beginnings of the periods up to `last`, without gaps."""
    steps = {"day": 1, "week": 7, "month": 31, "year": 366}
    while True:
        yield start
        # A step from the first day of a month or year ends in the next one.
        ordinal = start.toordinal() + steps[unit]
        if ordinal > last.toordinal() and ordinal > date.max.toordinal() - 366:
            return
        following = _start(start + timedelta(days=steps[unit]), unit)
        if following > last:
            return
        start = following
