"""The bundle, a model on disk: written atomically, verified when loaded."""

import hashlib
import json
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from serving.errors import InputError, did_you_mean
from serving.labels import LabelScheme
from serving.machine import Arithmetic
from serving.onnx_files import external_files
from serving.provenance import Provenance
from serving.reference import Reference
from serving.text.normalize import NORMALIZERS

_SHIPPED = Path(__file__).parent / "models"
MANIFEST = "bundle.json"
REQUIRED_FILES = ("model.onnx", "tokenizer.json", "config.json")
# The names and versions of models, which stand in HTTP headers, and of a registry's versions.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
# No larger model runs on a CPU in a useful time; reading more only keeps a disk busy.
MAX_BYTES = 8 * 2**30
_MAX_MANIFEST_BYTES = 16 * 2**20


def _finite(value: Any) -> Any:
    """Return a JSON value as it is; ValueError when a number in it is NaN or infinite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is NaN or infinite")
    if isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            _finite(part)
    return value


_Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
_FileName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$", max_length=200)]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Probability = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NormalizerStamp(_Strict):
    """The normaliser of the training, with its output for fixed texts."""

    name: str
    version: int
    golden: tuple[tuple[str, str], ...]


class GoldenPrediction(_Strict):
    """A sentence and the probabilities that the bundle gave it when it was made."""

    text: str
    probabilities: tuple[_Probability, ...]


class Stage(_Strict):
    """One of a cascade's two bundles: a folder inside the cascade's, or an included model."""

    folder: _Name
    model: str


class Cascade(_Strict):
    """Two bundles that answer as one: `second` where `first` is less sure than `below`."""

    first: Stage
    second: Stage
    below: _Probability


class Manifest(_Strict):
    """The content of `bundle.json`.

    `temperature` and `power` turn logits into probabilities (see `serving.classifier.softmax`).
    With the same `golden_arithmetic` the golden predictions must match bit for bit, else within a
    tolerance. `metrics` are on the held-out sentences; the card and `GET /v1/model` show them.
    A `cascade` has no graph of its own, and no calibration: those of its two bundles apply.
    """

    format: Literal[1] = 1
    name: _Name
    version: _Name
    scheme: LabelScheme
    normalizer: NormalizerStamp
    max_length: int = Field(ge=8, le=8192)
    temperature: float = Field(ge=1e-4, le=1e4)
    power: float = Field(default=1.0, ge=0.1, le=10)
    threshold: float = Field(ge=0, le=1)
    golden_predictions: tuple[GoldenPrediction, ...]
    golden_arithmetic: Arithmetic | None = None
    metrics: Annotated[dict[str, Any], AfterValidator(_finite)]
    provenance: Provenance | None
    reference: Reference | None = None  # bundles made before `rasd drift` have none
    files: dict[_FileName, _Sha256]
    cascade: Cascade | None = None

    @property
    def model(self) -> str:
        """The name and exact version that every record has."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified model folder; `stages` are the two bundles of a cascade."""

    folder: Path
    manifest: Manifest
    stages: tuple["Bundle", ...] = ()

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
        manifest = read_manifest(folder)
        _verify_files(folder, manifest)
        _verify_normalizer(folder, manifest.normalizer)
        return cls(folder, manifest, _load_stages(folder, manifest))


def shipped_model(name: str = "default") -> Path:
    """Return the folder of a model included in the package."""
    return _SHIPPED / name


def find_model(model: Path) -> Path:
    """Return the folder `model`, or that of the included model of this name.

    If both exist, it is the folder.
    """
    named = str(model) in included_models() and not model.exists()
    return _SHIPPED / model if named else model


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `bundle.json` beside the files that it lists."""
    text = json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def included_models() -> list[str]:
    """Return the names of the models in the package."""
    return sorted(path.parent.name for path in _SHIPPED.glob(f"*/{MANIFEST}"))


def read_manifest(folder: Path) -> Manifest:
    """Return what `bundle.json` says, with every value in its range; the files are not looked at.

    Raises InputError.
    """
    path = folder / MANIFEST
    ours = ", ".join(included_models())
    remedy = f"Name a folder made by `rasd train` or `rasd export`, or an included model: {ours}."
    if not os.path.isdir(folder):  # noqa: PTH112 - Path's raises where a name is too long
        hint = did_you_mean(str(folder), included_models())
        raise InputError(f"{folder}: no such model folder", remedy + hint)
    try:
        if not path.exists():
            raise InputError(f"{folder}: not a bundle: {MANIFEST} is missing", remedy)
    except OSError as error:
        raise _unreadable(path, error) from error
    size = _size(folder, MANIFEST)
    if size > _MAX_MANIFEST_BYTES:
        raise InputError(f"{path}: {size:,} bytes, too many for a manifest", remedy)
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join([str(path), *(repr(part)[:100].strip("'") for part in first["loc"])])
        raise InputError(
            f"{where}: {first['msg']}",
            "Copy the bundle again, or make it again with `rasd export`.",
        ) from error


def _load_stages(folder: Path, manifest: Manifest) -> tuple[Bundle, ...]:
    """Load the two bundles of a cascade; they must be those that it was made of."""
    if manifest.cascade is None:
        return ()
    stages = []
    for stage in (manifest.cascade.first, manifest.cascade.second):
        inside = folder / stage.folder
        home = inside if inside.is_dir() else shipped_model(stage.folder)
        bundle = Bundle.load(home)
        found = bundle.manifest
        if found.model != stage.model or found.scheme != manifest.scheme or found.cascade:
            raise InputError(
                f"{folder}: was made of {stage.model}, but {home} holds {found.model}",
                "Make the cascade again with `rasd cascade`.",
            )
        stages.append(bundle)
    return tuple(stages)


def _verify_files(folder: Path, manifest: Manifest) -> None:
    required = () if manifest.cascade else REQUIRED_FILES
    names = tuple(dict.fromkeys((*required, *manifest.files)))
    total = sum(_size(folder, name) for name in names)
    if total > MAX_BYTES:
        raise InputError(
            f"{folder}: its files are {total:,} bytes; a bundle may have {MAX_BYTES:,}",
            "Make a smaller model.",
        )
    for name in names:
        _verify_digest(folder / name, manifest.files.get(name))
    graph = folder / "model.onnx"
    read = set() if manifest.cascade else external_files(graph)
    for name in sorted(read - set(manifest.files)):
        raise InputError(
            f"{folder}: model.onnx reads {name!r}, which {MANIFEST} does not list",
            "Make the bundle again with `rasd export`, which lists every file.",
        )


def _verify_digest(path: Path, expected: str | None) -> None:
    try:
        found = sha256(path)
        with path.open("rb") as stream:
            pointer = stream.read(11) == b"version htt"
    except OSError as error:
        raise _unreadable(path, error) from error
    if found == expected:
        return
    if pointer:
        raise InputError(
            f"{path}: a pointer of Git LFS, not the file itself",
            "Run `git lfs pull` in the repository's folder.",
        )
    raise InputError(
        f"{path}: damaged: its sha256 is {found[:12]}…, "
        f"{MANIFEST} says {(expected or 'nothing')[:12]}…",
        "Copy the bundle again; a file that was changed on purpose needs a new bundle.",
    )


def _size(folder: Path, name: str) -> int:
    """Return the bytes of a bundle's file, once it is sure that it is one and is the bundle's own.

    A link may not lead out of the folder: `rasd` would read, and tell about, any file of the
    machine. The cache of Hugging Face's hub is the exception, where snapshots/REVISION/NAME leads
    to ../../blobs/.
    """
    path = folder / name
    try:
        real = Path(os.path.realpath(path, strict=True))
        status = real.stat()
    except FileNotFoundError as error:
        raise InputError(
            f"{folder}: not a whole bundle: {name} is missing",
            "Copy the bundle again, or make it with `rasd train` or `rasd export`.",
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    home = folder.resolve()
    blobs = home.parent.parent / "blobs"
    if not (
        real.is_relative_to(home) or (home.parent.name == "snapshots" and real.parent == blobs)
    ):
        raise InputError(
            f"{path}: a link that leads out of the bundle",
            "Copy the file itself into the bundle.",
        )
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{path}: not a regular file",
            "Copy the bundle again, or make it with `rasd train` or `rasd export`.",
        )
    return status.st_size


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be read ({error.strerror})",
        "Give this user the right to read it, or copy the bundle again.",
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
