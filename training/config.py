"""The training configuration: a YAML file, validated before anything is loaded or written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationInfo, field_validator

from serving.config_file import Key, Section, check_kind, checked, read_yaml, resolve_paths, under
from serving.errors import InputError

_PATHS: tuple[Key, ...] = (
    ("labels",),
    ("output",),
    ("data", "train"),
    ("data", "dev"),
    ("data", "corrections"),
    ("distill", "teachers"),
    ("distill", "unlabelled"),
)

EXAMPLE = "configs/compact.yaml"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"

SHIPPED_ENCODER = Path(__file__).parent / "encoder"
"""The encoder of the default model; an installed package leaves it out."""

SHIPPED_ENCODER_ID = "intfloat/multilingual-e5-small"
"""The hub id that SHIPPED_ENCODER was made from, loaded where that folder is absent."""

Share = Annotated[float, Field(ge=0, le=1)]

FIXED_SEED = 1
"""For the split, the head's first weights and drawn samples: the same in every run, so that runs
with another `optimisation.seed` are measured on the same sentences and can be averaged."""


class _Group(Section):
    """A group of keys in which true, or YAML's yes and on, is not the number 1."""

    @field_validator("*", mode="before")
    @classmethod
    def _a_boolean_is_not_a_number(cls, value: Any, found: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(found.field_name)].annotation
        if isinstance(value, bool) and wanted is not bool:
            raise ValueError("not true or false")
        return value


class DataConfig(_Group):
    """The labelled sentences and their use."""

    train: tuple[Path, ...] = Field(
        min_length=1, description="a list of one or more labelled files"
    )
    dev: tuple[Path, ...] = Field(
        default=(), description="a list of labelled files, or [] to hold out a share"
    )
    dev_fraction: float = Field(
        default=0.1, gt=0, le=0.5, description="a share of the sentences, above 0 and up to 0.5"
    )
    conflicts: Literal["stop", "drop", "first", "newest", "majority"] = Field(
        default="stop", description="stop, drop, first, newest or majority"
    )
    text_field: str | None = Field(
        default=None, description="the name of the field with the text, or null for the usual one"
    )
    label_field: str | None = Field(
        default=None, description="the name of the field with the label, or null for label"
    )
    unsure_weight: Share = Field(default=0.7, description="a weight, 0 to 1")
    second_share: float = Field(default=0.0, ge=0, le=0.5, description="a share, 0 to 0.5")
    corrections: tuple[Path, ...] = Field(default=(), description="a list of files of train, or []")
    correction_weight: float = Field(default=1.0, gt=0, description="a weight above 0")

    @field_validator("corrections")
    @classmethod
    def _they_are_trained_on(
        cls, files: tuple[Path, ...], found: ValidationInfo
    ) -> tuple[Path, ...]:
        if others := [file for file in files if file not in found.data.get("train", files)]:
            raise ValueError(f"{others[0]} is not in data.train")
        return files


class ModelConfig(_Group):
    """Dropout in the classifier."""

    dropout: float = Field(default=0.1, ge=0, lt=1, description="a probability under 1")
    encoder_dropout: float | None = Field(
        default=None, ge=0, lt=1, description="a probability under 1; or null for the encoder's own"
    )


class OptimisationConfig(_Group):
    """How the weights are trained."""

    learning_rate: float = Field(gt=0, le=0.1, description="a rate above 0 and up to 0.1")
    epochs: int = Field(default=4, ge=1, le=1000, description="a number of passes, 1 to 1000")
    early_stopping: int | None = Field(
        default=None, ge=1, description="a number of epochs, 1 or more; or null"
    )
    batch_size: int = Field(
        default=32, ge=1, le=4096, description="a number of sentences, 1 to 4096"
    )
    gradient_accumulation: int = Field(
        default=1, ge=1, description="a number of batches, 1 or more"
    )
    gradient_checkpointing: bool = Field(default=False, description="true or false")
    head_learning_rate_factor: float = Field(
        default=5.0, gt=0, le=1000, description="a multiple of the encoder's rate, above 0"
    )
    warmup_ratio: float = Field(
        default=0.1, ge=0, lt=1, description="a share of the steps, under 1"
    )
    weight_decay: Share = Field(default=0.01, description="a number from 0 to 1")
    frozen_layers: int = Field(
        default=0, ge=0, description="a number of layers, counted from the bottom; 0 is none"
    )
    average_last: Share = Field(default=0.2, description="a share of the steps, 0 to 1; 0 is off")
    seed: int = Field(default=1, ge=0, lt=2**32, description="a whole number, 0 or more")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto, fp32, bf16 or fp16"
    )
    checkpoint_steps: int = Field(default=200, ge=1, description="a number of steps, 1 or more")
    report_to: tuple[str, ...] = Field(
        default=(), description="a list of trackers such as tensorboard or mlflow; or []"
    )


class DistillConfig(_Group):
    """Teacher models, the text that they label, and the encoder layers that the student keeps."""

    teachers: tuple[Path, ...] = Field(
        default=(), description="a list of bundle or checkpoint folders, or []"
    )
    linear: bool = Field(default=False, description="true or false")
    unlabelled: tuple[Path, ...] = Field(
        default=(),
        description="a list of files or folders, as in [archive.jsonl, articles/]; or []",
    )
    text_field: str | None = Field(
        default=None, description="the name of a field or column, or null"
    )
    limit: int | None = Field(
        default=None, ge=1, description="a number of sentences, 1 or more; or null"
    )
    share: Share = Field(default=0.5, description="a share of the loss, 0 to 1")
    layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="a list of layer numbers, counted from 0; or [] for all"
    )

    @field_validator("layers")
    @classmethod
    def _layers_ascend(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if list(layers) != sorted(set(layers)):
            raise ValueError("each layer once, from the bottom up")
        return layers

    @field_validator("unlabelled")
    @classmethod
    def _someone_labels_them(
        cls, files: tuple[Path, ...], found: ValidationInfo
    ) -> tuple[Path, ...]:
        if files and not (found.data.get("teachers") or found.data.get("linear")):
            raise ValueError("a teacher must label them: set distill.teachers or distill.linear")
        return files


class AbstentionConfig(_Group):
    """When a label counts as certain."""

    coverage: float = Field(
        default=0.8, gt=0, le=1, description="a share of the sentences, above 0 and up to 1"
    )


class ExportConfig(_Group):
    """The gate that an exported model must pass."""

    min_agreement: Share = Field(default=0.99, description="a share of the sentences, 0 to 1")
    max_logit_difference: float = Field(
        default=1e-4, gt=0, description="a difference of logits, above 0"
    )


class TrainConfig(Section):
    """One training job; configs/compact.yaml explains every key and has the same defaults.

    `encoder` is a Path if it is a folder and a str if it is a hub id.
    """

    encoder: Path | str = Field(description="a folder or a hub id")
    encoder_revision: str | None = Field(
        default=None, description="a branch, tag or commit; or null"
    )
    encoder_credit: str | None = Field(default=None, description="a sentence for the card; or null")
    license: str | None = Field(
        default=None, description="a licence's name on the hub, as apache-2.0; or null"
    )
    labels: Path = Field(description="a file such as configs/labels.yaml")
    normalizer: Literal["light", "arabert"] = Field(description="light or arabert")
    max_length: int = Field(default=128, ge=8, le=512, description="a number of tokens, 8 to 512")
    data: DataConfig = Field(description="a group of keys")
    model: ModelConfig = Field(default=ModelConfig(), description="a group of keys")
    optimisation: OptimisationConfig = Field(description="a group of keys")
    distill: DistillConfig = Field(default=DistillConfig(), description="a group of keys")
    abstention: AbstentionConfig = Field(default=AbstentionConfig(), description="a group of keys")
    export: ExportConfig = Field(default=ExportConfig(), description="a group of keys")
    output: Path = Field(description="a folder")
    name: str = Field(
        pattern=_NAME, description="a name of letters, digits, full stops and hyphens"
    )


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a training configuration; each override is `key=value` with the value in YAML.

    A relative path in the file is relative to the file's folder, in an override to the current
    folder. Raises InputError with every problem and its line.
    """
    values, lines = read_yaml(path, example=EXAMPLE)
    check_kind("rasd train", values, path=path, example=EXAMPLE)
    _resolve_paths(values, path.parent)
    values.setdefault("output", Path("runs") / path.stem)
    given: dict[Key, str] = {}
    for override in overrides:
        key, value = _parse_override(override)
        given[key] = f"--set {override}"
        for name in reversed(key):
            value = {name: value}
        _resolve_paths(value, Path())
        values = _merged(values, value)
    return checked(TrainConfig, values, path=path, lines=lines, given=given)


def is_folder(encoder: str, base: Path = Path()) -> bool:
    """Tell whether an encoder's name means a folder: it looks like a path, or the folder exists."""
    looks_like_a_path = encoder.startswith((".", "/", "~")) or encoder.count("/") > 1
    return looks_like_a_path or (bool(encoder) and (base / encoder).is_dir())


def encoder_to_load(encoder: Path | str) -> Path | str:
    """Return the folder or hub id to load; raise InputError if the folder is missing.

    Only the encoder of the default model falls back to the hub.
    """
    if isinstance(encoder, str) or encoder.is_dir():
        return encoder
    if encoder.resolve() == SHIPPED_ENCODER.resolve():
        return SHIPPED_ENCODER_ID
    raise InputError(
        f"encoder: no folder {encoder}",
        f"Name a folder that exists, or a hub id such as {SHIPPED_ENCODER_ID}.",
    )


def _parse_override(override: str) -> tuple[Key, Any]:
    """Return the key and the value of `key=value`; raise InputError for another form."""
    key, equals, value = override.partition("=")
    problem, remedy = f"--set {override}", "Write it as --set data.conflicts=majority."
    if not equals or not all(key.split(".")):
        raise InputError(f"{problem}: not of the form key=value", remedy)
    try:
        return tuple(key.split(".")), yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{problem}: the value is not YAML", remedy) from error


def _merged(values: Any, other: Any) -> Any:
    """Return `values` updated with `other`, group by group."""
    if not isinstance(values, dict) or not isinstance(other, dict):
        return other
    return values | {key: _merged(values.get(key), value) for key, value in other.items()}


def _resolve_paths(values: dict[str, Any], base: Path) -> None:
    """Turn the paths in `values` into Path objects relative to `base`, in place."""
    resolve_paths(values, _PATHS, base)
    encoder = values.get("encoder")
    if isinstance(encoder, str) and is_folder(encoder, base):
        values["encoder"] = under(base, encoder)
