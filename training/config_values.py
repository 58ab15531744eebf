"""A training configuration's values before they are checked: paths and overrides."""

import os
from pathlib import Path
from typing import Any

import yaml

from serving.config_file import Key
from serving.errors import InputError

_PATHS: tuple[Key, ...] = (
    ("labels",),
    ("output",),
    ("data", "train"),
    ("data", "dev"),
    ("distill", "teachers"),
    ("distill", "unlabelled"),
)


def parse_override(override: str) -> tuple[Key, Any]:
    """Return the key and the value of `key=value`; raise InputError if it is not of that form."""
    key, equals, value = override.partition("=")
    problem, remedy = f"--set {override}", "Write it as --set data.conflicts=majority."
    if not equals or not all(key.split(".")):
        raise InputError(f"{problem}: not of the form key=value", remedy)
    try:
        return tuple(key.split(".")), yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{problem}: the value is not YAML", remedy) from error


def merged(values: Any, other: Any) -> Any:
    """Return `values` with those of `other` in their place, group by group."""
    if not isinstance(values, dict) or not isinstance(other, dict):
        return other
    return values | {key: merged(values.get(key), value) for key, value in other.items()}


def resolve_paths(values: dict[str, Any], base: Path) -> None:
    """Turn the paths in `values` into Path objects relative to `base`, in place."""
    for *groups, name in _PATHS:
        group: Any = values
        for part in groups:
            group = group.get(part) if isinstance(group, dict) else None
        if isinstance(group, dict) and name in group:
            group[name] = _under(base, group[name])
    encoder = values.get("encoder")
    # What could be either is a folder if there is one, as everywhere in transformers.
    if isinstance(encoder, str) and (
        encoder.startswith((".", "/", "~")) or (encoder and (base / encoder).is_dir())
    ):
        values["encoder"] = _under(base, encoder)


def _under(base: Path, value: Any) -> Any:
    if isinstance(value, str):
        return Path(os.path.normpath(base / Path(value).expanduser()))
    return [_under(base, item) for item in value] if isinstance(value, list) else value
