"""The gate: what a challenger must not do worse, and must do better, to replace the champion."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from serving.terminal import counted
from training.evaluate.behaviour import KindResult
from training.evaluate.comparison import Comparison, Verdict
from training.evaluate.measure import Evaluation
from training.retrain.config import GateConfig

# Of products such as 0.07 * 100, which is above 7, or 0.29 * 100, which is below 29.
_ROUNDING = 1e-9


class Outcome(StrEnum):
    """How a check ended; `UNDECIDED` has too few sentences to tell and stops nothing."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Check:
    """One condition: the figures of both models, and what the challenger's may be."""

    name: str
    outcome: Outcome
    champion: float
    challenger: float
    condition: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One model on the test sentences.

    `new_right` counts the right answers on the new ones. `golden` is the labels of the champion's
    golden sentences. `seconds` is CPU time per sentence. `behaviour` is empty without a file.
    """

    evaluation: Evaluation
    new_right: int
    golden: tuple[str, ...]
    behaviour: tuple[KindResult, ...]
    seconds: float


def check_all(
    gate: GateConfig, champion: Tried, challenger: Tried, comparison: Comparison, new: int
) -> list[Check]:
    """Return every check; `new` is the number of new sentences in the test."""
    return [
        _macro_f1(gate, comparison),
        *_recalls(gate, champion.evaluation, challenger.evaluation),
        _calibration(gate, champion.evaluation, challenger.evaluation),
        _gain(gate, champion, challenger, new),
        *_behaviour(champion.behaviour, challenger.behaviour),
        _golden(champion, challenger),
        _speed(gate, champion, challenger),
    ]


def passes(checks: Sequence[Check]) -> bool:
    """Tell whether no check failed."""
    return all(check.outcome is not Outcome.FAILED for check in checks)


def _macro_f1(gate: GateConfig, comparison: Comparison) -> Check:
    pair = comparison.macro_f1
    fine = comparison.verdict is not Verdict.WORSE and pair.difference >= -gate.max_macro_f1_drop
    span = pair.interval
    condition = (
        f"at most {gate.max_macro_f1_drop:g} lower, and the 95% interval of the difference "
        f"({span.low:+.3f} to {span.high:+.3f}) not below 0"
    )
    return Check("macro-F1", _outcome(fine), pair.other, pair.model, condition)


def _recalls(gate: GateConfig, champion: Evaluation, challenger: Evaluation) -> Iterator[Check]:
    for name, ours in challenger.metrics.labels.items():
        theirs = champion.metrics.labels[name]
        limit = gate.max_recall_drop_by_label.get(name, gate.max_recall_drop)
        if not ours.support:
            condition = "none in the test"
            yield Check(f"recall of {name}", Outcome.UNDECIDED, 0, 0, condition)
            continue
        # In a small test one sentence is more than the limit, and one sentence is luck.
        lost = round((theirs.recall - ours.recall) * ours.support)
        fine = lost <= max(1, limit * ours.support + _ROUNDING)
        condition = f"at most {limit:g} lower, or one of {counted(ours.support, 'sentence')}"
        yield Check(f"recall of {name}", _outcome(fine), theirs.recall, ours.recall, condition)


def _calibration(gate: GateConfig, champion: Evaluation, challenger: Evaluation) -> Check:
    theirs, ours = champion.metrics.ece, challenger.metrics.ece
    fine = ours - theirs <= gate.max_ece_rise
    condition = f"at most {gate.max_ece_rise:g} higher"
    return Check("calibration error", _outcome(fine), theirs, ours, condition)


def _gain(gate: GateConfig, champion: Tried, challenger: Tried, new: int) -> Check:
    name = "accuracy on new labels"
    theirs, ours = (tried.new_right / max(new, 1) for tried in (champion, challenger))
    # In sentences: 0.29 - 0.28 is less than 0.01.
    gained = challenger.new_right - champion.new_right
    if new < gate.min_new_sentences:
        condition = f"{new} held out; fewer than {gate.min_new_sentences} cannot tell"
        return Check(name, Outcome.UNDECIDED, theirs, ours, condition)
    condition = f"at least {gate.min_gain:g} higher, on {new:,} sentences that are held out"
    return Check(name, _outcome(gained >= gate.min_gain * new - _ROUNDING), theirs, ours, condition)


def _behaviour(champion: Sequence[KindResult], challenger: Sequence[KindResult]) -> list[Check]:
    if not champion:
        return []
    total = sum(kind.cases for kind in champion)
    theirs, ours = (
        sum(kind.passed for kind in results) / total for results in (champion, challenger)
    )
    condition = f"not lower, on {counted(total, 'case')}"
    return [Check("behaviour tests passed", _outcome(ours >= theirs), theirs, ours, condition)]


def _golden(champion: Tried, challenger: Tried) -> Check:
    pairs = list(zip(champion.golden, challenger.golden, strict=True))
    share = sum(one == other for one, other in pairs) / max(len(pairs), 1)
    fine = all(one == other for one, other in pairs)
    condition = f"the champion's label for each of its {len(pairs)} golden sentences"
    return Check("golden sentences", _outcome(fine), 1.0, share, condition)


def _speed(gate: GateConfig, champion: Tried, challenger: Tried) -> Check:
    theirs, ours = (tried.seconds * 1000 for tried in (champion, challenger))
    condition = f"at most {gate.max_slowdown:g} times as long"
    return Check(
        "CPU milliseconds per sentence",
        _outcome(ours <= theirs * gate.max_slowdown),
        theirs,
        ours,
        condition,
    )


def _outcome(fine: bool) -> Outcome:
    return Outcome.PASSED if fine else Outcome.FAILED
