"""The steps of `rasd retrain`: merge, train a challenger, compare, report, promote or keep."""

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serving.bundle import shipped_model
from serving.classifier import Classifier
from serving.errors import InputError, RasdError
from serving.files.sources import find_sources
from serving.machine import available_cores
from serving.registry.lock import locked
from serving.registry.pointer import current_folder, current_name
from serving.registry.retraining import CheckFigures, Retraining, record_retraining
from serving.registry.store import Registry
from serving.terminal import counted, tell
from serving.text.normalize import NORMALIZERS
from serving.trial import try_bundle
from training.evaluate.behaviour import read_behaviour
from training.labelled.fields import FieldNames
from training.labelled.reading import DEFAULT_NAMES, fingerprint, read_labelled
from training.retrain.compare import Result, compare_models
from training.retrain.config import Recipe, RetrainConfig
from training.retrain.feedback import without_password, write_feedback
from training.retrain.merge import Merged, merge
from training.retrain.report import REPORT, Cost, write_report

_BUSY = ("another `rasd retrain` is at work here", "Wait for it, or give it another `output`.")


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for."""

    labelled: tuple[Path, ...]
    feedback: str | None
    registry: Path | None
    quick: bool
    dry_run: bool
    fields: FieldNames = DEFAULT_NAMES


def retrain(config: RetrainConfig, request: Request, *, command: Sequence[str]) -> bool:
    """Train a challenger, compare it with the champion, and promote it if the gate lets it pass.

    Returns whether the challenger passed. All work is in one folder of `config.output`, named by
    what goes in, so the same call after a kill continues there. Raises InputError before anything
    is trained, and RasdError if another retraining runs.
    """
    started = time.monotonic()
    folder = current_folder(request.registry) if request.registry else shipped_model()
    champion = Classifier.load(folder)
    if champion.bundle.stages:
        raise InputError(
            f"{folder}: a cascade cannot be retrained",
            "Retrain one of its models and make a new cascade of them with `rasd cascade`.",
        )
    recipe = config.quick if request.quick else config.full
    try:
        config.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{config.output}: this folder cannot be made ({error.strerror})",
            "Name another folder in `output`.",
        ) from error
    with locked(config.output, *_BUSY):
        merged = _merge(config, recipe, request, champion)
        if config.behaviour:
            read_behaviour(config.behaviour, champion.bundle.scheme)
        find_sources([str(path) for path in config.archive])
        for label in config.gate.max_recall_drop_by_label:
            if label not in champion.bundle.scheme.names:
                tell(f"warning: gate.max_recall_drop_by_label: the model has no label {label!r}")
        _say_counts(merged, champion, recipe)
        if request.dry_run:
            return False
        if _learned_already(champion, merged):
            sys.stdout.write(f"{champion.model} is kept: it was trained on just these sentences\n")
            return False
        from training.retrain.challenger import Work  # torch: the checks above need none

        if request.feedback:
            command = without_password(command, request.feedback)
        work = Work(config, recipe, merged, champion)
        bundle = work.challenger(command)
        result = compare_models(champion, Classifier.load(bundle), merged, config)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cost = Cost(
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            wall_seconds=time.monotonic() - started,
            peak_mib=usage.ru_maxrss / 1024,
            cores=available_cores(),
        )
        report = write_report(
            work.folder / REPORT, result, champion.bundle.scheme, cost=cost, command=command
        )
        _say_result(result, report)
        if request.registry:
            record_retraining(request.registry, _figures(result))
        if result.promoted and request.registry:
            _promote(request.registry, folder.name, bundle, record=report, result=result)
        elif result.promoted:
            sys.stderr.write(f"the challenger is in {bundle}; no registry was named\n")
    return result.promoted


def _learned_already(champion: Classifier, merged: Merged) -> bool:
    """Tell whether the champion comes from a retraining on the same sentences and labels."""
    manifest = champion.bundle.manifest
    known = manifest.provenance and manifest.provenance.data.train.fingerprint
    return known == fingerprint(merged.train, NORMALIZERS[manifest.normalizer.name].apply)


def _merge(config: RetrainConfig, recipe: Recipe, request: Request, champion: Classifier) -> Merged:
    labelled = list(request.labelled)
    if request.feedback:
        path = config.output / "feedback.jsonl"
        labelled.append(write_feedback(request.feedback, path, request.fields))
    normalize = NORMALIZERS[champion.bundle.manifest.normalizer.name].apply
    scheme = champion.bundle.scheme
    new = read_labelled(labelled, scheme, normalize, config.conflicts, request.fields)
    return merge(new, config, recipe, scheme, normalize)


def _figures(result: Result) -> Retraining:
    return Retraining(
        time=datetime.now(UTC),
        champion=result.champion,
        challenger=result.challenger,
        passed=result.promoted,
        checks=tuple(
            CheckFigures.model_validate(check, from_attributes=True) for check in result.checks
        ),
    )


def _promote(registry: Path, champion: str, bundle: Path, *, record: Path, result: Result) -> None:
    """Add the challenger to the registry and make it current, unless that changed meanwhile."""
    versions = Registry(registry, check=try_bundle)
    name = result.challenger.replace("@", "-")
    reason = result.summary()
    if name not in {version.name for version in versions.versions()}:
        versions.add(bundle, name=name, record=record, reason=reason)
    if (now := current_name(registry)) != champion:
        raise RasdError(
            f"{registry}: {now} became current while {champion} was being retrained",
            f"{name} was added, but not promoted. Repeat the command: it compares with {now}.",
        )
    versions.promote(name, reason=reason)
    sys.stderr.write(f"{registry}: {name} is current\n")


def _say_counts(merged: Merged, champion: Classifier, recipe: Recipe) -> None:
    for warning in merged.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    counts = merged.counts
    held_out = f"{counts.new_held_out:,} held out, " if counts.new_held_out else ""
    sys.stderr.write(
        f"champion {champion.model}\n"
        f"{counted(counts.new, 'new sentence')}: {counts.learned:,} to learn from, "
        f"{held_out}{counts.new_test:,} in the test; "
        f"with {counts.replayed:,} of the base ({recipe.replay:.0%})\n"
        f"test: {counted(len(merged.test), 'sentence')}; held out: {len(merged.dev):,}\n"
    )
    if counts.replaced:
        sys.stderr.write(f"{counted(counts.replaced, 'base sentence')} replaced by new labels\n")
    if counts.leaks:
        leaks = counted(counts.leaks, "sentence")
        sys.stderr.write(f"{leaks} not trained on, near-identical to held-out ones\n")


def _say_result(result: Result, report: Path) -> None:
    for check in result.checks:
        sys.stdout.write(
            f"{check.outcome.value:9}  {check.name:30}  {check.champion:8.3f} -> "
            f"{check.challenger:8.3f}  {check.condition}\n"
        )
    sys.stdout.write(f"{result.summary()}\n{report / 'report.html'}\n")
