"""Two bundles to a cascade: stages, threshold, metrics, card and manifest."""

import hashlib
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from serving.atomic import atomic_folder, check_place
from serving.bundle import (
    MANIFEST,
    NAME_PATTERN,
    Bundle,
    Cascade,
    Manifest,
    Stage,
    included_models,
    sha256,
    shipped_model,
    write_manifest,
)
from serving.classifier import Classifier
from serving.errors import InputError
from serving.machine import Arithmetic
from serving.text.normalize import NORMALIZERS
from training.cascade.card import render_card
from training.evaluate.bootstrap import bootstrap
from training.evaluate.calibration import fit_threshold
from training.evaluate.measure import Answers, answer
from training.evaluate.metrics import classification_metrics, coverage_accuracy
from training.export.golden import golden_predictions
from training.labelled.reading import fingerprint, read_labelled
from training.labelled.sentence import LabelledSentence

# The share of the labelled sentences that the threshold leaves certain, as in training.
COVERAGE = 0.8


def make_cascade(
    models: tuple[Path, Path],
    dev: Sequence[Path],
    out: Path,
    *,
    below: float,
    name: str,
    command: Sequence[str],
) -> Path:
    """Make a cascade of two bundles at `out` and return `out`.

    Where the first model's probability is under `below` the second answers. Threshold and metrics
    are those of the whole on `dev`. Raises InputError for bundles that do not fit together.
    """
    check_place(out, sign=MANIFEST)
    if not re.fullmatch(NAME_PATTERN, name):
        raise InputError(
            f"--name {name!r}: not the name of a bundle",
            "It has up to 100 letters, digits, full stops, hyphens and underscores.",
        )
    first, second = (Bundle.load(model) for model in models)
    _check(first, second, below)
    normalize = NORMALIZERS[first.manifest.normalizer.name].apply
    sentences = read_labelled(dev, first.scheme, normalize).sentences
    with atomic_folder(out) as folder:
        stages = [
            _stage(first, folder, "first"),
            _stage(second, folder, "second"),
        ]
        cascade = Cascade(first=stages[0], second=stages[1], below=below)
        manifest = Manifest(
            name=name,
            version="0",
            scheme=first.scheme,
            normalizer=first.manifest.normalizer,
            max_length=min(first.manifest.max_length, second.manifest.max_length),
            temperature=1.0,
            power=1.0,
            threshold=0.0,
            golden_predictions=(),
            metrics={},
            provenance=None,
            files=_digests(folder),
            cascade=cascade,
        )
        write_manifest(folder, manifest)
        classifier = Classifier(Bundle.load(folder))
        answers = answer(classifier, sentences)
        threshold = fit_threshold(answers.probabilities, COVERAGE)
        asked = answer(Classifier(first), sentences).probabilities.max(axis=1) < below
        metrics = _metrics(answers, first.scheme.names) | {"second_asked": float(asked.mean())}
        identity = f"{stages} {below} {threshold}".encode()
        manifest = manifest.model_copy(
            update={
                "version": hashlib.sha256(identity).hexdigest()[:12],
                "threshold": threshold,
                "metrics": metrics,
                "golden_arithmetic": Arithmetic.here(),
                "golden_predictions": golden_predictions(classifier),
            }
        )
        both = (first, second)
        known = [one.manifest.model for one in both if calibrated_on(one, sentences)]
        files = [path.name for path in dev]
        card = render_card(manifest, files, shlex.join(command), known=known)
        (folder / "README.md").write_text(card, encoding="utf-8")
        write_manifest(folder, manifest.model_copy(update={"files": _digests(folder)}))
    return out


def _check(first: Bundle, second: Bundle, below: float) -> None:
    if first.scheme.names != second.scheme.names:
        raise InputError(
            f"{second.folder}: its labels are {', '.join(second.scheme.names)}, those of the first "
            f"are {', '.join(first.scheme.names)}",
            "Make a cascade of two models with the same label scheme.",
        )
    if first.scheme != second.scheme:
        raise InputError(
            f"{second.folder}: the same labels, but other Arabic names or colours",
            "Make both bundles with one label scheme.",
        )
    for bundle in (first, second):
        if bundle.stages:
            raise InputError(f"{bundle.folder}: is a cascade itself", "Name the models in it.")
    if not 0 < below < 1:
        raise InputError(f"--below {below:g}: not between 0 and 1", "Try 0.7.")


def calibrated_on(bundle: Bundle, sentences: Sequence[LabelledSentence]) -> bool:
    """Tell whether a model was chosen and calibrated on these sentences, after its normaliser."""
    manifest = bundle.manifest
    return manifest.provenance is not None and (
        manifest.provenance.data.held_out.fingerprint
        == fingerprint(sentences, NORMALIZERS[manifest.normalizer.name].apply)
    )


def _stage(bundle: Bundle, folder: Path, place: str) -> Stage:
    """Copy a bundle into the cascade, unless it is an included model."""
    name = bundle.folder.name
    if name in included_models() and bundle.folder.samefile(shipped_model(name)):
        return Stage(folder=name, model=bundle.manifest.model)
    target = folder / place
    target.mkdir()
    for name in (*bundle.manifest.files, MANIFEST):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.folder / name, target / name)
    return Stage(folder=place, model=bundle.manifest.model)


def _digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in paths
        if path != folder / MANIFEST
    }


def _metrics(answers: Answers, names: Sequence[str]) -> dict[str, Any]:
    labels, probabilities = answers.labels, answers.probabilities.astype(np.float32)
    return asdict(classification_metrics(labels, probabilities, names)) | {
        "coverage": [
            {"coverage": point.coverage, "accuracy": point.accuracy}
            for point in coverage_accuracy(labels, probabilities)
        ],
        "intervals": asdict(bootstrap(labels, probabilities, names)),
    }
