"""The steps of `rasd evaluate`: tables on stdout, then report, JSON and plots."""

import json
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.atomic import atomic_file
from serving.bundle import sha256
from serving.classifier import Classifier
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.terminal import counted, tell
from serving.text.normalize import NORMALIZERS
from training.environment import environment
from training.evaluate.behaviour import KindResult, read_behaviour, run_behaviour
from training.evaluate.bootstrap import LEVEL, RESAMPLES, SEED
from training.evaluate.comparison import Comparison
from training.evaluate.measure import Evaluation, answer, assess, compare_answers
from training.evaluate.metrics import Metrics
from training.evaluate.tables import print_behaviour, print_evaluation
from training.labelled.fields import FieldNames
from training.labelled.reading import DEFAULT_NAMES, read_labelled
from training.labelled.sentence import LabelledSentence


def evaluate(
    model: Path | None,
    labelled: Sequence[Path],
    out: Path | None = None,
    compare: Path | None = None,
    fields: FieldNames = DEFAULT_NAMES,
) -> Metrics:
    """Measure a bundle (None: the included default) on labelled files and print tables.

    `compare` is another bundle to compare it with on the same sentences. `out` is a folder for
    `report.html`, `metrics.json` and the plots. Raises InputError for a bad bundle or file, before
    anything is written.
    """
    _check_folder(out)
    classifier = Classifier.load(model)
    scheme = classifier.bundle.scheme
    other = _load_other(compare, classifier) if compare else None
    normalize = NORMALIZERS[classifier.bundle.manifest.normalizer.name].apply
    sentences, warnings = _read_every(labelled, scheme, normalize, fields)
    for warning in warnings:
        tell(f"warning: {warning}")
    answers = answer(classifier, sentences)
    evaluation = assess(classifier, sentences, answers)
    comparison = None
    if other is not None:
        comparison = compare_answers(classifier, answers, other, answer(other, sentences))
    # Files first: a reader of the tables that closes the pipe (head, less) ends the command.
    if out is not None:
        write_evaluation(evaluation, comparison, scheme, labelled, out)
    print_evaluation(evaluation, comparison)
    return evaluation.metrics


def evaluate_behaviour(
    model: Path | None, path: Path, out: Path | None = None, compare: Path | None = None
) -> list[KindResult]:
    """Run behaviour tests on a bundle (None: the included default); print passes and failures.

    `compare` is another bundle whose passes are printed beside. `out` is a folder for
    `behaviour.json`. Raises InputError for a bad bundle or file, before anything is written.
    """
    _check_folder(out)
    classifier = Classifier.load(model)
    cases = read_behaviour(path, classifier.bundle.scheme)
    classifiers = [classifier, _load_other(compare, classifier)] if compare else [classifier]
    results = [(each.model, run_behaviour(each, cases)) for each in classifiers]
    if out is not None:
        record = {
            "models": [
                {"model": name, "kinds": [asdict(kind) for kind in kinds]}
                for name, kinds in results
            ],
            "file": {"file": str(path), "sha256": sha256(path)},
            **_origin(),
        }
        _write_json(record, out / "behaviour.json")
    print_behaviour(results)
    return results[0][1]


def write_evaluation(
    evaluation: Evaluation,
    comparison: Comparison | None,
    scheme: LabelScheme,
    labelled: Sequence[Path],
    out: Path,
) -> None:
    """Write plots, report and, last, `metrics.json` to `out`; other files there are kept."""
    from training.evaluate.plots import confusion_figure, coverage_figure, png, reliability_figure
    from training.evaluate.report import render_page

    metrics = evaluation.metrics
    before = evaluation.uncalibrated.reliability if evaluation.calibrated else ()
    files = labelled[0].name if len(labelled) == 1 else f"{len(labelled)} files"
    title = f"{evaluation.model} on {files}, {counted(metrics.sentences, 'sentence')}"
    figures = {
        "confusion_matrix": confusion_figure(metrics.confusion, scheme, title=title),
        "reliability": reliability_figure(evaluation.reliability, before, title=title),
        "coverage": coverage_figure(evaluation.curve, evaluation.certain, title=title),
    }
    record: dict[str, Any] = {
        **asdict(evaluation),
        "comparison": asdict(comparison) if comparison else None,
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED, "level": LEVEL},
        "files": [{"file": str(path), "sha256": sha256(path)} for path in labelled],
        **_origin(),
    }
    page = render_page(evaluation, comparison, scheme, figures, record)
    for name, figure in figures.items():
        with atomic_file(out / f"{name}.png") as path:
            path.write_bytes(png(figure))
    with atomic_file(out / "report.html") as path:
        path.write_text(page, encoding="utf-8")
    _write_json(record, out / "metrics.json")


def _check_folder(out: Path | None) -> None:
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file, not a folder", "Name a folder for --out.")


def _origin() -> dict[str, Any]:
    """Return where the figures of a record come from: software, machine, date and command."""
    return {
        "environment": environment().model_dump(mode="json"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["rasd", *sys.argv[1:]]),
    }


def _write_json(record: dict[str, Any], target: Path) -> None:
    with atomic_file(target) as path:
        path.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _load_other(folder: Path, classifier: Classifier) -> Classifier:
    """Load the bundle to compare with; raise InputError if its labels differ."""
    other = Classifier.load(folder)
    ours, theirs = classifier.bundle.scheme.names, other.bundle.scheme.names
    if set(ours) != set(theirs):
        raise InputError(
            f"{folder}: its labels are {', '.join(theirs)}; those of {classifier.model} "
            f"are {', '.join(ours)}",
            "Compare models with the same labels.",
        )
    return other


def _read_every(
    paths: Sequence[Path],
    scheme: LabelScheme,
    normalize: Callable[[str], str],
    fields: FieldNames,
) -> tuple[list[LabelledSentence], list[str]]:
    """Read every sentence, with warnings about repeated and contradictory ones.

    Training drops repeated texts, but a measurement counts every sentence of the file.
    """
    data = read_labelled(paths, scheme, normalize, "keep", fields)
    labels = defaultdict(list)
    for sentence in data.sentences:
        labels[normalize(sentence.text)].append(sentence.label)
    repeats = sum(len(found) - 1 for found in labels.values())
    conflicts = sum(len(set(found)) > 1 for found in labels.values())
    warnings = list(data.warnings)
    if repeats:
        warnings.append(f"sentences that repeat another: {repeats:,}; each one counts")
    if conflicts:
        warnings.append(f"texts with two labels: {conflicts:,}; one of them counts as a mistake")
    if missing := [name for name, number in data.counts.items() if not number]:
        warnings.append(f"no sentence is {' or '.join(missing)}: macro-F1 counts it as 0")
    return data.sentences, warnings
