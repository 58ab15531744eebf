"""How a model was made: the record in a bundle and a checkpoint that cards and averages read."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    """Keys that other versions of rasd wrote are kept, and written again."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class Side(_Record):
    """One side of the labelled sentences: how many, by label, and their fingerprint.

    The fingerprint is the SHA-256 of the sorted pairs of normalised text and label.
    """

    sentences: int
    labels: dict[str, int]
    fingerprint: str


class Data(_Record):
    """The sentences that a model was trained on, and those it was calibrated and measured on."""

    train: Side
    held_out: Side


class Unlabelled(_Record):
    """The text that only teachers labelled."""

    sentences: int
    fingerprint: str


class Distilled(_Record):
    """The teachers that a student learned from."""

    teachers: tuple[str, ...]
    unlabelled: Unlabelled


class Epoch(_Record):
    """Metrics on the held-out sentences after an epoch, or of the averaged last weights."""

    epoch: int | Literal["average"]
    macro_f1: float
    accuracy: float


class Environment(_Record):
    """The machine and the library versions, which can change a metric."""

    python: str
    platform: str
    cores: int
    cpu_flags: tuple[str, ...]
    packages: dict[str, str]


class Provenance(_Record):
    """All it takes to make a model again.

    `config` is the training configuration as its version of rasd wrote it, without folders, and
    with the precision that `auto` came to. `kept` says which weights were kept. For a mean of
    checkpoints, `averaged` has the provenance of each, with the SHA-256 of its weights; the other
    fields are those of the first.
    `restored_from` is the bundle (NAME@VERSION) whose int8 weights these are, in single precision;
    `started_from` is the one whose int8 weights the training started from. `calibration_of` is the
    one that the calibration agrees with; if None, it was fitted on the held-out sentences.
    """

    command: str
    config: dict[str, Any]
    encoder_commit: str | None = None
    data: Data
    distill: Distilled | None = None
    history: tuple[Epoch, ...] = ()
    kept: str
    environment: Environment
    averaged: tuple["Provenance", ...] = ()
    weights: str | None = None
    restored_from: str | None = None
    started_from: str | None = None
    calibration_of: str | None = None

    def runs(self) -> list["Provenance"]:
        """Return the training runs whose mean the weights are, each once; of one run, itself."""
        found: dict[str | None, Provenance] = {}
        for part in self.averaged:
            found |= {run.weights: run for run in part.runs()}
        return list(found.values()) or [self]

    def commands(self) -> list[str]:
        """Return the commands that make the model, each once, in order."""
        return list(dict.fromkeys(self._commands()))

    def _commands(self) -> Iterator[str]:
        for part in self.averaged:
            yield from part._commands()
        yield self.command
