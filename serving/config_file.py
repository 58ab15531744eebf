"""Configuration files: YAML with validation that reports every problem and its line."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from serving.errors import InputError, Problem, did_you_mean, refusal
from serving.regular_file import read_regular

Key = tuple[str, ...]

_LONGEST = 120  # characters of a value that a message shows
_LARGEST = 2**18  # bytes of a file
_MOST_KEYS = 10_000  # keys and list items, those of aliases counted wherever they are used


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of configuration: its name, who reads it, and top-level keys that only it has."""

    name: str
    readers: str
    keys: frozenset[str]


_KINDS = {
    "rasd train": _Kind(
        "a training configuration",
        "`rasd train` uses it, and `rasd validate` checks it",
        frozenset({"encoder", "labels", "data", "optimisation", "distill", "normalizer"}),
    ),
    "rasd retrain": _Kind(
        "a retraining configuration",
        "`rasd retrain --config` uses it, and with --dry-run only checks it",
        frozenset({"base", "archive", "full", "quick", "gate", "behaviour"}),
    ),
    "rasd serve": _Kind(
        "a service's configuration",
        "`rasd serve --config` checks and uses it",
        frozenset({"host", "port", "registry", "limits", "security", "feedback"}),
    ),
}


class Section(BaseModel):
    """A group of keys. The description of a field is the remedy in its error message."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Config = TypeVar("Config", bound=Section)


def read_yaml(path: Path, *, example: str) -> tuple[dict[str, Any], dict[Key, int]]:
    """Return the values of a YAML file and the line of every key, counted from 1.

    Raises InputError, with `example` as a file of the right form.
    """
    lines: dict[Key, int] = {(): 1}
    try:
        text = read_regular(path, _LARGEST).decode("utf-8-sig")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _note_lines(path, node, (), lines)
        values = yaml.safe_load(text)
    except RecursionError as error:
        raise InputError(f"{path}: nested too deeply", f"See {example} for the form.") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror})",
            f"Name a configuration that exists, or run the command in the folder of rasd's "
            f"repository, which has {example}.",
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}: line {mark.line + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise InputError(f"{place}: not YAML ({reason})", f"See {example} for the form.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no keys", f"See {example} for the keys and their form.")
    return values, lines


def check_kind(command: str, values: Mapping[str, Any], *, path: Path, example: str) -> None:
    """Raise InputError if `values` are rather a configuration of another command than `command`.

    The error says which one, and names `example` as one of the right kind.
    """
    ours = len(values.keys() & _KINDS[command].keys)
    for kind in _KINDS.values():
        if len(values.keys() & kind.keys) > ours:
            raise InputError(
                f"{path} looks like {kind.name}",
                f"{kind.readers}. `{command}` needs one like {example}.",
            )


def checked(
    model: type[Config],
    values: dict[str, Any],
    *,
    path: Path,
    lines: Mapping[Key, int],
    given: Mapping[Key, str] | None = None,
) -> Config:
    """Return `values` as a `model`; raise InputError with every problem and its place.

    `lines` is from `read_yaml`; `given` maps keys to the command-line options that set them, which
    are then their place.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems: dict[Key, Problem] = {}
        for detail in error.errors():
            key, problem = _problem(model, detail, path, lines, given or {})
            problems.setdefault(key, problem)
        raise refusal(list(problems.values())) from error


def _note_lines(path: Path, node: yaml.Node, group: Key, lines: dict[Key, int]) -> None:
    if len(lines) > _MOST_KEYS:
        raise InputError(
            f"{path}: more than {_MOST_KEYS:,} keys and values",
            "Write a shorter file; the values of an alias (*name) count wherever it is used.",
        )
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[*group, str(number)] = item.start_mark.line + 1
            _note_lines(path, item, (*group, str(number)), lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for name, value in node.value:
        key = (*group, str(name.value))
        line = name.start_mark.line + 1
        if key in lines:
            raise InputError(
                f"{path}: line {line}: {'.'.join(key)} is on line {lines[key]} already",
                "Keep one of them: YAML would silently take the last.",
            )
        lines[key] = line
        _note_lines(path, value, key, lines)


def resolve_paths(values: Any, keys: Iterable[Key], base: Path) -> None:
    """Turn the paths and the lists of paths under `keys` into Path objects under `base`."""
    for *groups, name in keys:
        group = values
        for part in groups:
            group = group.get(part) if isinstance(group, dict) else None
        if isinstance(group, dict) and name in group:
            group[name] = under(base, group[name])


def under(base: Path, value: Any) -> Any:
    """Return a path, or a list of paths, relative to `base`; other values as they are."""
    if isinstance(value, str):
        home = os.path.expanduser(value)  # noqa: PTH111 - Path's raises for an unknown user
        return Path(os.path.normpath(base / home))
    return [under(base, item) for item in value] if isinstance(value, list) else value


def _problem(
    model: type[Section],
    error: ErrorDetails,
    path: Path,
    lines: Mapping[Key, int],
    overrides: Mapping[Key, str],
) -> tuple[Key, Problem]:
    """Return the key that pydantic rejected, and its problem."""
    key, group, description = _known_part(model, error["loc"])
    name = ".".join(key)
    place = next((place for given, place in overrides.items() if _overlap(given, key)), None)
    if place is None:
        # A missing key has no line; its group may have one.
        known = next(key[:end] for end in range(len(key), -1, -1) if key[:end] in lines)
        place = f"{path}: line {lines[known]}" if known else str(path)
    if not description:
        fields = group.model_fields
        near = did_you_mean(key[-1], fields) or f" The keys here are {', '.join(fields)}."
        return key, Problem(place, f"unknown key {name}", near.strip())
    if error["type"] == "missing":
        return key, Problem(place, f"no key {name}", f"Add it: {description}.")
    # One of our own checks adds its reason.
    why = f" ({error['ctx']['error']})" if error["type"] == "value_error" else ""
    value = repr(_plain(error["input"]))
    if len(value) > _LONGEST:
        value = value[: _LONGEST - 1] + "…"
    return key, Problem(place, f"{name} is {value}", f"It must be {description}{why}.")


def _plain(value: Any) -> Any:
    """Return a value as in a file: paths as text, also in a list."""
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _overlap(one: Key, other: Key) -> bool:
    """Tell whether the keys are equal or one is a group that holds the other."""
    return all(a == b for a, b in zip(one, other, strict=False))


def _known_part(
    model: type[BaseModel], location: tuple[str | int, ...]
) -> tuple[Key, type[BaseModel], str]:
    """Return the key of a pydantic location, its group and its description.

    A location can be longer than the key: it names the item of a list or the member of a union.
    """
    group: type[BaseModel] = model
    key: Key = ()
    parts = iter(location)
    for part in parts:
        key = (*key, str(part))
        field = group.model_fields.get(key[-1])
        if field is None:
            return key, group, ""
        described = key, group, field.description or ""
        inner: Any = field.annotation
        if get_origin(inner) is tuple:  # of groups, or of values
            inner = get_args(inner)[0]
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                key = (*key, *map(str, islice(parts, 1)))
        if len(key) == len(location) or not (
            isinstance(inner, type) and issubclass(inner, BaseModel)
        ):
            return described
        group = inner
    return key, group, ""
