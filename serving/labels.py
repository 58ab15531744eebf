"""The label scheme: names, Arabic names, order and colours, carried inside every bundle."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from serving.errors import InputError


class Label(BaseModel):
    """One label: its name in records, its Arabic name and its colour (`#rrggbb`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    arabic: str = Field(min_length=1)
    colour: str = Field(pattern=r"^#[0-9a-f]{6}$")


class LabelScheme(BaseModel):
    """The labels in the order of the model's outputs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: tuple[Label, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _names_are_unique(self) -> "LabelScheme":
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"a label name stands twice in {list(self.names)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The label names, in the order of the model's outputs."""
        return tuple(label.name for label in self.labels)

    @classmethod
    def read(cls, path: Path) -> "LabelScheme":
        """Read `configs/labels.yaml` or a file of its form; raise InputError if it is not one."""
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror})", "Name a label file that exists."
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
            raise InputError(
                f"{path}: not a label scheme: {' '.join(str(error).split())}",
                "See configs/labels.yaml for the form.",
            ) from error
