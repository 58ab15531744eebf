"""A checkpoint to a bundle: export, int8, gate, calibration, card and manifest."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from serving.atomic import atomic_folder, check_place
from serving.bundle import (
    MANIFEST,
    Bundle,
    Manifest,
    NormalizerStamp,
    sha256,
    write_manifest,
)
from serving.classifier import Classifier, softmax
from serving.errors import RasdError
from serving.machine import Arithmetic
from serving.onnx_model import OnnxModel, load_tokenizer, tokenize
from serving.reference import Reference
from serving.text.normalize import GOLDEN_INPUTS, NORMALIZERS
from training.arrays import Float32Array, IntArray
from training.drift.profile import profile, to_reference, unknown_id
from training.evaluate.bootstrap import bootstrap
from training.evaluate.calibration import fit_calibration, fit_threshold
from training.evaluate.metrics import classification_metrics, coverage_accuracy
from training.export.card import render_card
from training.export.golden import golden_predictions
from training.export.int8 import quantize_int8
from training.export.onnx_graph import check_parity, export_onnx
from training.labelled.reading import read_labelled
from training.labelled.sentence import LabelledSentence
from training.model.checkpoint import HELD_OUT, SETTINGS, Checkpoint, load_checkpoint

# Sentences on which torch and ONNX are compared: enough for all lengths.
_PARITY_SENTENCES = 64

# Copied from a checkpoint into its bundle where they exist.
_COMPANIONS = ("config.json", "tokenizer.json", "special_tokens_map.json")
_TOKENIZER_CONFIG = "tokenizer_config.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns logits into probabilities and certain labels, as in `Manifest`."""

    temperature: float
    power: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A calibrated model whose probabilities the new one keeps, in place of labelled sentences.

    `answers` (n, k) are its probabilities of `texts`, which the new model was not trained on: its
    temperature and power are fitted to them, as to labels. Without texts it gets the predecessor's
    own. The threshold is the predecessor's.
    """

    manifest: Manifest
    texts: Sequence[str]
    answers: Float32Array

    def calibration(self, logits: Float32Array) -> Calibration:
        """Return that of a model with these logits (n, k) of `texts`."""
        if self.texts:
            temperature, power = fit_calibration(logits, self.answers)
        else:
            temperature, power = self.manifest.temperature, self.manifest.power
        return Calibration(temperature, power, self.manifest.threshold)


@dataclass(frozen=True, slots=True)
class _Measured:
    """The calibration, and the metrics of the calibrated int8 model."""

    calibration: Calibration
    metrics: dict[str, Any]
    reference: Reference


def export_folder(checkpoint: Path, out: Path) -> Path:
    """Make the bundle of a checkpoint folder at `out` and return `out`."""
    check_place(out, sign=MANIFEST)
    loaded = load_checkpoint(checkpoint)
    settings = loaded.settings
    held_out = read_labelled(
        [checkpoint / HELD_OUT], settings.scheme, NORMALIZERS[settings.normalizer].apply
    )
    return export_bundle(loaded, held_out.sentences, out)


def export_bundle(
    checkpoint: Checkpoint,
    held_out: Sequence[LabelledSentence],
    out: Path,
    predecessor: Predecessor | None = None,
) -> Path:
    """Make the bundle of `checkpoint` at `out` and return `out`.

    Without a `predecessor` the calibration is fitted on `held_out`, with the int8 graph, which is
    served. Raises RasdError, and writes nothing, if ONNX and torch differ or if int8 and fp32 agree
    on too few labels of `held_out`.
    """
    settings = checkpoint.settings
    normalize = NORMALIZERS[settings.normalizer].apply
    tokenizer = load_tokenizer(checkpoint.folder / "tokenizer.json", max_length=settings.max_length)

    def token_ids(texts: Iterable[str]) -> list[list[int]]:
        return [item.ids for item in tokenize(tokenizer, [normalize(text) for text in texts])]

    tokens = token_ids(sentence.text for sentence in held_out)
    labels = np.array([settings.scheme.names.index(s.label) for s in held_out])
    padding_id = int(checkpoint.model.encoder.config.pad_token_id)
    with atomic_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "fp32.onnx"
        export_onnx(checkpoint.model, full)
        fp32 = OnnxModel(full, padding_id=padding_id)
        parity = check_parity(
            checkpoint.model,
            fp32,
            tokens[:_PARITY_SENTENCES],
            tolerance=settings.max_logit_difference,
        )
        expected = fp32.logits(tokens)
        quantize_int8(full, folder / "model.onnx", token_ids(checkpoint.sample))
        int8 = OnnxModel(folder / "model.onnx", padding_id=padding_id)
        calibration = reference = None
        if predecessor:
            others = token_ids(predecessor.texts)
            logits = int8.logits(others)
            calibration = predecessor.calibration(logits)
            # The held-out sentences are few, and the predecessor may have learned them.
            reference = predecessor.manifest.reference
            if predecessor.texts:
                reference = _reference(checkpoint, logits, others, calibration)
        found = int8.logits(tokens)
        measured = _measure(checkpoint, expected, found, labels, tokens, calibration=calibration)
        if reference:
            measured = replace(measured, reference=reference)
        measured.metrics["torch_onnx_difference"] = parity
        _copy_companions(checkpoint, folder)
        _describe(folder, checkpoint, measured, predecessor)
    return out


def _measure(
    checkpoint: Checkpoint,
    fp32: Float32Array,
    int8: Float32Array,
    labels: IntArray,
    tokens: Sequence[Sequence[int]],
    *,
    calibration: Calibration | None,
) -> _Measured:
    """Check the gate, calibrate if `calibration` is None, and measure.

    `fp32` and `int8` are logits (n, k) of the held-out sentences, `tokens` their token ids.
    """
    settings = checkpoint.settings
    names = settings.scheme.names
    agreement = float((fp32.argmax(1) == int8.argmax(1)).mean())
    if agreement < settings.min_agreement:
        raise RasdError(
            f"int8 and fp32 agree on {agreement:.2%} of the held-out labels, "
            f"under {settings.min_agreement:.2%}",
            "Train longer or hold out more sentences. To accept less, lower export.min_agreement "
            "and repeat `rasd train` (it does not train again), or, for `rasd export`, lower "
            f"min_agreement in {checkpoint.folder / SETTINGS}.",
        )
    if calibration is None:
        temperature, power = fit_calibration(int8, labels)
        probabilities = softmax(int8, temperature, power)
        threshold = fit_threshold(probabilities, settings.coverage)
        calibration = Calibration(temperature, power, threshold)
    probabilities = softmax(int8, calibration.temperature, calibration.power)
    before = classification_metrics(labels, softmax(int8, 1.0), names)
    full = classification_metrics(labels, softmax(fp32, 1.0), names)
    metrics = asdict(classification_metrics(labels, probabilities, names)) | {
        "coverage": [
            {"coverage": point.coverage, "accuracy": point.accuracy}
            for point in coverage_accuracy(labels, probabilities)
        ],
        "intervals": asdict(bootstrap(labels, probabilities, names)),
        "before_calibration": {"ece": before.ece, "nll": before.nll},
        "fp32": {"macro_f1": full.macro_f1, "accuracy": full.accuracy},
        "int8_agreement": agreement,
        "int8_logit_difference": float(np.abs(fp32 - int8).max()),
    }
    return _Measured(calibration, metrics, _reference(checkpoint, int8, tokens, calibration))


def _reference(
    checkpoint: Checkpoint,
    logits: Float32Array,
    tokens: Sequence[Sequence[int]],
    calibration: Calibration,
) -> Reference:
    """Return what `rasd drift` compares with, of sentences with these logits and token ids."""
    unknown = unknown_id(checkpoint.folder / "tokenizer.json")
    probabilities = softmax(logits, calibration.temperature, calibration.power)
    profiles = [
        profile(row, ids, unknown, certain=bool(row.max() >= calibration.threshold))
        for row, ids in zip(probabilities, tokens, strict=True)
    ]
    return to_reference(np.sum(profiles, axis=0))


def _copy_companions(checkpoint: Checkpoint, folder: Path) -> None:
    """Copy configuration and tokenizer; state the length that this model reads."""
    for name in _COMPANIONS:
        if (checkpoint.folder / name).is_file():
            shutil.copyfile(checkpoint.folder / name, folder / name)
    path = checkpoint.folder / _TOKENIZER_CONFIG
    if path.is_file():
        config = json.loads(path.read_text(encoding="utf-8"))
        config["model_max_length"] = checkpoint.settings.max_length
        text = json.dumps(config, ensure_ascii=False, indent=2)
        (folder / _TOKENIZER_CONFIG).write_text(text + "\n", encoding="utf-8")


def _describe(
    folder: Path, checkpoint: Checkpoint, measured: _Measured, predecessor: Predecessor | None
) -> None:
    """Write card and manifest, then the predictions for the golden sentences."""
    settings = checkpoint.settings
    provenance = settings.provenance.model_copy(
        update={"calibration_of": predecessor.manifest.model if predecessor else None}
    )
    normalizer = NORMALIZERS[settings.normalizer]
    identity = hashlib.sha256()
    for name in ("model.onnx", "tokenizer.json"):
        identity.update((folder / name).read_bytes())
    calibration = measured.calibration
    identity.update(
        f"{calibration.temperature} {calibration.power} {calibration.threshold}".encode()
    )
    manifest = Manifest(
        name=settings.name,
        version=identity.hexdigest()[:12],
        scheme=settings.scheme,
        normalizer=NormalizerStamp(
            name=normalizer.name,
            version=normalizer.version,
            golden=tuple((text, normalizer.apply(text)) for text in GOLDEN_INPUTS),
        ),
        max_length=settings.max_length,
        temperature=calibration.temperature,
        power=calibration.power,
        threshold=calibration.threshold,
        golden_predictions=(),
        golden_arithmetic=Arithmetic.here(),
        metrics=measured.metrics,
        provenance=provenance,
        reference=measured.reference,
        files={},
    )
    card = render_card(manifest, provenance)
    (folder / "README.md").write_text(card, encoding="utf-8")
    digests = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    manifest = manifest.model_copy(update={"files": digests})
    write_manifest(folder, manifest)
    golden = golden_predictions(Classifier(Bundle.load(folder)))
    write_manifest(folder, manifest.model_copy(update={"golden_predictions": golden}))
