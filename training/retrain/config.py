"""The configuration of `rasd retrain`: `configs/retrain.yaml`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from serving.config_file import Key, Section, check_kind, checked, read_yaml, resolve_paths
from training.config import OptimisationConfig, Share
from training.evaluate.behaviour import INCLUDED

EXAMPLE = "configs/retrain.yaml"
_PATHS: tuple[Key, ...] = (
    ("base",),
    ("archive",),
    ("test",),
    ("dev",),
    ("behaviour",),
    ("output",),
)


class Recipe(Section):
    """How a challenger is trained: `replay` of the base data, `frozen` of the layers.

    `remembered` sentences of the archive keep the champion's answers. Then the loss of a new label
    has `new_weight`.
    """

    replay: Share = Field(description="a share of the base sentences, 0 to 1")
    remembered: int = Field(default=0, ge=0, description="a number of sentences, 0 or more")
    new_weight: float = Field(default=1.0, gt=0, description="a weight above 0")
    frozen: Share = Field(default=0.0, description="a share of the layers, 0 to 1")
    optimisation: OptimisationConfig = Field(description="a group of keys")


class GateConfig(Section):
    """How much worse a challenger may be, and how much better on the new labels it must be.

    Every value is a difference of shares (0.01 is one percentage point), but `max_slowdown`.
    """

    max_macro_f1_drop: Share = Field(description="a difference, 0 to 1")
    max_recall_drop: Share = Field(description="a difference, 0 to 1")
    max_recall_drop_by_label: dict[str, Share] = Field(
        default_factory=dict, description="labels and differences, as in denial: 0.01"
    )
    max_ece_rise: Share = Field(description="a difference, 0 to 1")
    min_gain: Share = Field(description="a difference, 0 to 1")
    min_new_sentences: int = Field(ge=1, description="a number of sentences, 1 or more")
    max_slowdown: float = Field(ge=1, description="a ratio, 1 or more")


class RetrainConfig(Section):
    """configs/retrain.yaml explains every key."""

    base: tuple[Path, ...] = Field(min_length=1, description="a list of labelled files")
    archive: tuple[Path, ...] = Field(default=(), description="a list of files with text, or []")
    test: tuple[Path, ...] = Field(default=(), description="a list of labelled files, or []")
    dev: tuple[Path, ...] = Field(default=(), description="a list of labelled files, or []")
    test_fraction: float = Field(
        default=0.1, gt=0, le=0.5, description="a share of the sentences, above 0 and up to 0.5"
    )
    conflicts: Literal["stop", "drop", "first", "newest", "majority"] = Field(
        default="majority", description="stop, drop, first, newest or majority"
    )
    unsure_weight: Share = Field(default=0.7, description="a weight, 0 to 1")
    second_share: float = Field(default=0.0, ge=0, le=0.5, description="a share, 0 to 0.5")
    full: Recipe = Field(description="a group of keys")
    quick: Recipe = Field(description="a group of keys")
    gate: GateConfig = Field(description="a group of keys")
    behaviour: Path | None = Field(
        default=INCLUDED, description="a file of behaviour tests, `included`, or null"
    )
    output: Path = Field(description="a folder")


def load_retrain_config(path: Path) -> RetrainConfig:
    """Read the configuration; relative paths start at its folder.

    Raises InputError with every problem and its line.
    """
    values, lines = read_yaml(path, example=EXAMPLE)
    check_kind("rasd retrain", values, path=path, example=EXAMPLE)
    if values.get("behaviour") == "included":
        del values["behaviour"]
    resolve_paths(values, _PATHS, path.parent)
    return checked(RetrainConfig, values, path=path, lines=lines)
