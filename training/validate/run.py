"""The checks of `rasd validate`: configurations, label schemes, labelled files and bundles."""

import sys
from collections.abc import Sequence
from pathlib import Path

from serving.bundle import Bundle, shipped_model
from serving.config_file import read_yaml
from serving.errors import SHOWN, InputError
from serving.labels import LabelScheme
from serving.terminal import counted, shown
from serving.text.normalize import NORMALIZERS
from training.config import encoder_to_load, load_config
from training.labelled.fields import FieldNames
from training.labelled.reading import DEFAULT_NAMES, read_labelled
from training.labelled.splits import read_sides

LABELS = Path("configs/labels.yaml")


def validate(
    paths: Sequence[Path], labels: Path | None = None, fields: FieldNames = DEFAULT_NAMES
) -> int:
    """Check every path: good files on stdout, problems on stderr; return 0 or 2.

    A folder is a bundle, a .yaml file a training configuration or a label scheme, any other file a
    labelled file. Labels are checked against the file `labels`, else configs/labels.yaml in the
    current folder, else the labels of the included model.
    """
    failed = False
    for path in paths:
        try:
            summary, warnings = _check(path, labels, fields)
        except InputError as error:
            place = "" if str(path) in error.problem else f"{path}: "
            sys.stderr.write(f"rasd: {shown(place)}{error}\n")
            failed = True
            continue
        sys.stdout.write(f"ok  {shown(f'{path}: {summary}')}\n")
        for warning in warnings[:SHOWN]:
            sys.stdout.write(f"    warning: {shown(warning)}\n")
        if len(warnings) > SHOWN:
            sys.stdout.write(f"    and {counted(len(warnings) - SHOWN, 'more warning')}\n")
    return InputError.exit_code if failed else 0


def _check(path: Path, labels: Path | None, fields: FieldNames) -> tuple[str, list[str]]:
    """Return a summary of a good file and its warnings; raise InputError for a bad one."""
    if path.is_dir():
        return _check_bundle(path)
    if path.suffix.lower() in {".yaml", ".yml"}:
        return _check_yaml(path)
    data = read_labelled([path], label_scheme(labels), NORMALIZERS["light"].apply, names=fields)
    counts = ", ".join(f"{name} {count:,}" for name, count in data.counts.items())
    return f"{counted(len(data.sentences), 'sentence')}, {counts}", data.warnings


def _check_bundle(folder: Path) -> tuple[str, list[str]]:
    bundle = Bundle.load(folder)
    names = ", ".join(bundle.scheme.names)
    return f"bundle {bundle.manifest.model}, {len(bundle.scheme.names)} labels: {names}", []


def _check_yaml(path: Path) -> tuple[str, list[str]]:
    if _is_label_scheme(path):
        names = LabelScheme.read(path).names
        return f"{len(names)} labels: {', '.join(names)}", []
    config = load_config(path)
    encoder = encoder_to_load(config.encoder)
    scheme = LabelScheme.read(config.labels)
    sides = read_sides(config, scheme, NORMALIZERS[config.normalizer].apply)
    learned = counted(len(sides.train), "sentence")
    return f"trains {encoder} on {learned}, {len(sides.dev):,} held out", sides.warnings


def _is_label_scheme(path: Path) -> bool:
    """Tell a label scheme (`labels` is a list) from a configuration (`labels` is a file).

    An unreadable file counts as a configuration, whose reader reports the reason.
    """
    try:
        values, _ = read_yaml(path, example="configs/labels.yaml")
    except InputError:
        return False
    return isinstance(values.get("labels"), list)


def label_scheme(labels: Path | None) -> LabelScheme:
    """Return the scheme of the file `labels`, else of configs/labels.yaml, else of the model."""
    if labels is not None:
        return LabelScheme.read(labels)
    if LABELS.is_file():
        return LabelScheme.read(LABELS)
    return Bundle.load(shipped_model()).scheme
