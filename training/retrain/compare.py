"""Champion and challenger on the same sentences: figures, checks, and every changed label."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.classifier import Classifier
from serving.records import Prediction
from training.evaluate.behaviour import read_behaviour, run_behaviour
from training.evaluate.comparison import Comparison
from training.evaluate.measure import Answers, answer, assess, compare_answers
from training.labelled.sentence import LabelledSentence
from training.retrain.config import RetrainConfig
from training.retrain.gate import Check, Outcome, Tried, check_all, passes
from training.retrain.merge import Counts, Merged

# Sentences per measurement of the speed, and measurements, of which the fastest counts.
_TIMED = 200
_TIMES = 3


@dataclass(frozen=True, slots=True)
class Changed:
    """A test sentence that the challenger labels otherwise than the champion."""

    text: str
    label: str
    champion: str
    challenger: str
    probability: float
    place: str


@dataclass(frozen=True, slots=True)
class Result:
    """The comparison. `changed` has the challenger's most confident answers first."""

    champion: str
    challenger: str
    promoted: bool
    counts: Counts
    checks: tuple[Check, ...]
    comparison: Comparison
    tried: tuple[Tried, Tried]
    changed: tuple[Changed, ...]

    def summary(self) -> str:
        """Return the outcome and its reason in one line."""
        difference = self.comparison.macro_f1
        figures = f"macro-F1 {difference.other:.3f} to {difference.model:.3f}"
        if self.promoted:
            return f"{self.challenger} passes the gate: {figures}"
        failed = ", ".join(c.name for c in self.checks if c.outcome is Outcome.FAILED)
        return f"{self.champion} is kept: {self.challenger} fails on {failed} ({figures})"


def compare_models(
    champion: Classifier, challenger: Classifier, merged: Merged, config: RetrainConfig
) -> Result:
    """Measure both on `merged.test` and check the gate; raise InputError for unusable sentences."""
    cases = read_behaviour(config.behaviour, champion.bundle.scheme) if config.behaviour else []
    models = (champion, challenger)
    answers = [answer(model, merged.test) for model in models]
    seconds = _seconds(models, [sentence.text for sentence in merged.test[:_TIMED]])
    golden = [item.text for item in champion.bundle.manifest.golden_predictions]
    tried = [
        Tried(
            evaluation=assess(model, merged.test, given),
            new_right=_right(given, merged.counts.new_test),
            golden=tuple(a.label for a in model.classify(golden) if isinstance(a, Prediction)),
            behaviour=tuple(run_behaviour(model, cases)) if cases else (),
            seconds=cost,
        )
        for model, given, cost in zip(models, answers, seconds, strict=True)
    ]
    comparison = compare_answers(challenger, answers[1], champion, answers[0])
    checks = check_all(config.gate, tried[0], tried[1], comparison, merged.counts.new_test)
    return Result(
        champion=champion.model,
        challenger=challenger.model,
        promoted=passes(checks),
        counts=merged.counts,
        checks=tuple(checks),
        comparison=comparison,
        tried=(tried[0], tried[1]),
        changed=_changed(merged.test, answers[0], answers[1], champion.bundle.scheme.names),
    )


def _right(answers: Answers, first: int) -> int:
    """Return how many of the `first` sentences have the right answer."""
    right = answers.probabilities.argmax(axis=1) == answers.labels
    return int(right[answers.rows < first].sum())


def _seconds(models: Sequence[Classifier], texts: Sequence[str]) -> list[float]:
    """Return each model's CPU time per sentence, measured in turns: the least of several."""
    best = [float("inf")] * len(models)
    for _ in range(_TIMES):
        for number, model in enumerate(models):
            before = time.process_time()
            model.classify(texts)
            best[number] = min(best[number], (time.process_time() - before) / len(texts))
    return best


def _changed(
    sentences: Sequence[LabelledSentence],
    champion: Answers,
    challenger: Answers,
    names: Sequence[str],
) -> tuple[Changed, ...]:
    theirs = dict(zip(champion.rows, champion.probabilities.argmax(axis=1), strict=True))
    found = [
        Changed(
            text=sentences[row].text,
            label=sentences[row].label,
            champion=names[theirs[row]],
            challenger=names[int(values.argmax())],
            probability=float(values.max()),
            place=f"{Path(sentences[row].file).name}:{sentences[row].line}",
        )
        for row, values in zip(challenger.rows, challenger.probabilities, strict=True)
        if row in theirs and theirs[row] != values.argmax()
    ]
    return tuple(sorted(found, key=lambda item: -item.probability))
