"""The label scheme: names, Arabic names, order and colours, carried inside every bundle."""

from pathlib import Path
from typing import Annotated

from annotated_types import Predicate
from pydantic import Field, field_validator

from serving.config_file import Section, checked, read_yaml

_EXAMPLE = "configs/labels.yaml"


class Label(Section):
    """One label: its name in records, its Arabic name and its colour (`#rrggbb`)."""

    name: Annotated[str, Predicate(str.isidentifier)] = Field(
        description="letters of any script, digits and underscores, the first not a digit"
    )
    arabic: str = Field(min_length=1, description="the label's name in Arabic")
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$", description='a colour as "#d55e00"')


class LabelScheme(Section):
    """The labels in the order of the model's outputs."""

    labels: tuple[Label, ...] = Field(
        min_length=2, description="a list of two labels or more, each with its own name"
    )

    @field_validator("labels")
    @classmethod
    def _names_differ(cls, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        names = [label.name for label in labels]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice} occurs twice")
        return labels

    @property
    def names(self) -> tuple[str, ...]:
        """The label names, in the order of the model's outputs."""
        return tuple(label.name for label in self.labels)

    @classmethod
    def read(cls, path: Path) -> "LabelScheme":
        """Read `configs/labels.yaml` or a file of its form; raise InputError if it is not one."""
        values, lines = read_yaml(path, example=_EXAMPLE)
        return checked(cls, values, path=path, lines=lines)
