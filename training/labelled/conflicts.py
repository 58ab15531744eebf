"""One label per text: what is kept of sentences with the same text, and of conflicting labels."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from serving.errors import Problem
from training.labelled.sentence import LabelledSentence

Conflicts = Literal["stop", "drop", "first", "newest", "majority", "keep"]


def settle(
    group: list[LabelledSentence], conflicts: Conflicts
) -> tuple[list[LabelledSentence], list[Problem]]:
    """Return the sentences to keep of those with the same text, if any, and what to report.

    `conflicts` is explained at `read_labelled`.
    """
    if conflicts == "keep":
        return group, []
    first = group[0]
    other = next((sentence for sentence in group if sentence.label != first.label), None)
    if other is None:
        # Annotators who agree on one task are in one place: there is nothing to report.
        repeats = [sentence for sentence in group if sentence.place != first.place]
        what = f"the same text and label as {first.place}: left out"
        found = [Problem(repeat.place, what, "", warning=True) for repeat in repeats]
        return [_held_out(first, group)], found

    two = f"the same text as {first.place}, there {first.label}, here {other.label}"
    if conflicts == "stop":
        remedy = "Settle on one label, or let data.conflicts be drop, first or majority."
        return [], [Problem(other.place, two, remedy)]
    label = _winner(group, conflicts)
    winner = next((sentence for sentence in group if sentence.label == label), None)
    kept = [_held_out(winner, group)] if winner else []
    outcome = f"kept as {label}" if label else f"all {len(group)} left out"
    return kept, [Problem(other.place, f"{two}: {outcome}", "", warning=True)]


def _held_out(kept: LabelledSentence, group: list[LabelledSentence]) -> LabelledSentence:
    """Return the sentence, out of training if any of those with its text says so."""
    for sides in (("test",), ("dev", "validation")):
        if kept.split in sides:
            break
        if any(sentence.split in sides for sentence in group):
            return replace(kept, split=sides[0])
    return kept


def _winner(group: list[LabelledSentence], conflicts: Conflicts) -> str | None:
    """Return the label that a conflict is settled on, or None to leave its sentences out."""
    if conflicts == "first":
        return group[0].label
    if conflicts == "newest":
        return _newest(group)
    # One vote for an annotator, also where two files have the same decision.
    votes = {(s.columns.get("annotator", number), s.label) for number, s in enumerate(group)}
    best, second = Counter(label for _, label in votes).most_common(2)
    return best[0] if conflicts == "majority" and best[1] > second[1] else None


def _newest(group: list[LabelledSentence]) -> str | None:
    """Return the label of the latest date, if every sentence has one and no two labels share it."""
    dates = [_moment(sentence.date) for sentence in group]
    known = [date for date in dates if date is not None]
    if len(known) < len(group):
        return None
    latest = {s.label for s, date in zip(group, known, strict=True) if date == max(known)}
    return latest.pop() if len(latest) == 1 else None


def _moment(date: str | None) -> datetime | None:
    """Return a date of the ISO 8601 form; without a zone it is in UTC."""
    try:
        moment = datetime.fromisoformat(date or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
