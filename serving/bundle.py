"""The bundle, a model on disk: written atomically, verified when loaded."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.errors import InputError
from serving.labels import LabelScheme
from serving.machine import Arithmetic
from serving.provenance import Provenance
from serving.text.normalize import NORMALIZERS

_SHIPPED = Path(__file__).parent / "models"
MANIFEST = "bundle.json"
REQUIRED_FILES = ("model.onnx", "tokenizer.json", "config.json")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NormalizerStamp(_Strict):
    """The normaliser of the training, with its output for fixed texts."""

    name: str
    version: int
    golden: tuple[tuple[str, str], ...]


class GoldenPrediction(_Strict):
    """A sentence and the probabilities that the bundle gave it when it was made."""

    text: str
    probabilities: tuple[float, ...]


class Manifest(_Strict):
    """The content of `bundle.json`.

    `temperature` and `power` turn logits into probabilities (see `serving.classifier.softmax`).
    With the same `golden_arithmetic` the golden predictions must match bit for bit, else within a
    tolerance. `metrics` are on the held-out sentences; the card and `GET /v1/model` show them.
    """

    format: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: str
    scheme: LabelScheme
    normalizer: NormalizerStamp
    max_length: int = Field(ge=8)
    temperature: float = Field(gt=0)
    power: float = Field(default=1.0, gt=0)
    threshold: float = Field(ge=0, le=1)
    golden_predictions: tuple[GoldenPrediction, ...]
    golden_arithmetic: Arithmetic | None = None
    metrics: dict[str, Any]
    provenance: Provenance | None
    files: dict[str, str]

    @property
    def model(self) -> str:
        """The name and exact version that every record has."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model folder."""

    folder: Path
    manifest: Manifest

    @property
    def scheme(self) -> LabelScheme:
        """The labels, in the order of the model's outputs."""
        return self.manifest.scheme

    @property
    def padding_id(self) -> int:
        """The token id that pads a sentence to the length of its batch."""
        config = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return int(config["pad_token_id"])

    @classmethod
    def load(cls, folder: Path | str) -> "Bundle":
        """Read and verify the bundle at `folder`, or the included model of this name.

        Raises InputError with the first thing that does not match.
        """
        folder = find_model(Path(folder))
        manifest = _read_manifest(folder)
        _verify_files(folder, manifest)
        _verify_normalizer(folder, manifest.normalizer)
        return cls(folder, manifest)


def shipped_model(name: str = "default") -> Path:
    """Return the folder of a model included in the package."""
    return _SHIPPED / name


def find_model(model: Path) -> Path:
    """Return the folder `model`, or that of the included model of this name.

    If both exist, it is the folder.
    """
    shipped = _SHIPPED / model
    named = len(model.parts) == 1 and not model.exists() and (shipped / MANIFEST).is_file()
    return shipped if named else model


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `bundle.json` beside the files that it lists."""
    text = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    ours = " or ".join(sorted(path.parent.name for path in _SHIPPED.glob(f"*/{MANIFEST}")))
    remedy = f"Name a folder made by `rasd train` or `rasd export`, or a model that ships: {ours}."
    if not folder.is_dir():
        raise InputError(f"{folder}: no such model folder", remedy)
    if not path.is_file():
        raise InputError(f"{folder}: not a bundle: {MANIFEST} is missing", remedy)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join([str(path), *(str(part) for part in first["loc"])])
        raise InputError(
            f"{where}: {first['msg']}",
            "Copy the bundle again, or make it again with `rasd export`.",
        ) from error


def _verify_files(folder: Path, manifest: Manifest) -> None:
    for name in dict.fromkeys((*REQUIRED_FILES, *manifest.files)):
        path = folder / name
        if not path.is_file():
            raise InputError(
                f"{folder}: not a whole bundle: {name} is missing",
                "Copy the bundle again, or make it with `rasd train` or `rasd export`.",
            )
        found = sha256(path)
        if found != manifest.files.get(name):
            raise InputError(
                f"{path}: damaged: its sha256 is {found[:12]}…, "
                f"{MANIFEST} says {manifest.files.get(name, 'nothing')[:12]}…",
                "Copy the bundle again; a file that was changed on purpose needs a new bundle.",
            )


def _verify_normalizer(folder: Path, stamp: NormalizerStamp) -> None:
    ours = NORMALIZERS.get(stamp.name)
    if ours is None or ours.version != stamp.version:
        here = ", ".join(f"{n.name} {n.version}" for n in NORMALIZERS.values())
        raise InputError(
            f"{folder}: made with normaliser {stamp.name} {stamp.version}; this rasd has {here}",
            "Use the version of rasd that made the bundle, or train the model again.",
        )
    for text, expected in stamp.golden:
        if ours.apply(text) != expected:
            raise InputError(
                f"{folder}: normaliser {stamp.name} {stamp.version} turns {text!r} into "
                f"{ours.apply(text)!r}, the bundle expects {expected!r}",
                "Use the version of rasd that made the bundle, or train the model again.",
            )
