"""`DIR/retraining.json`: how the last retraining of a registry ended, as the web page shows it."""

import os
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, FiniteFloat, ValidationError

from serving.atomic import atomic_file
from serving.errors import InputError
from serving.registry.lock import locked
from serving.registry.pointer import sync_folder
from serving.regular_file import read_regular

RETRAINING = "retraining.json"
# Far more than the figures need.
_MAX_BYTES = 2**20


class CheckFigures(BaseModel):
    """One check of the gate: the figures of both models, and what the challenger's may be."""

    model_config = ConfigDict(frozen=True)

    name: str
    outcome: Literal["passed", "failed", "undecided"]
    champion: FiniteFloat
    challenger: FiniteFloat
    condition: str


class Retraining(BaseModel):
    """A retraining that came to an end: `passed` says whether the gate let the challenger pass."""

    model_config = ConfigDict(frozen=True)

    time: AwareDatetime
    champion: str
    challenger: str
    passed: bool
    checks: tuple[CheckFigures, ...]


def last_retraining(registry: Path) -> Retraining | None:
    """Return the last one, or None if there was none; raise InputError if it cannot be read."""
    path = registry / RETRAINING
    try:
        return Retraining.model_validate_json(read_regular(path, _MAX_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror})", "Give this user the right to."
        ) from error
    except ValidationError as error:
        raise InputError(
            f"{path}: not the record of a retraining: {error.errors()[0]['msg']}",
            "Remove it; the next `rasd retrain` writes it.",
        ) from error


def record_retraining(registry: Path, retraining: Retraining) -> None:
    """Write the last one; raise BusyError when another command changes the registry."""
    # The lock: another command would take the temporary file for one that a kill left.
    with locked(registry):
        with atomic_file(registry / RETRAINING) as new, new.open("w", encoding="utf-8") as stream:
            stream.write(retraining.model_dump_json(indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(registry)
