"""A fine-tuned classifier on disk: `rasd train` writes it, `rasd export` reads it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, PreTrainedTokenizerBase

from serving.bundle import sha256
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.provenance import Provenance
from training.labelled.sentence import LabelledSentence
from training.model.classifier import SentenceClassifier, empty_encoder

SETTINGS = "checkpoint.json"
WEIGHTS = "model.safetensors"
HELD_OUT = "held_out.jsonl"
_SAMPLE = "sample.jsonl"
# The encoder's weights have their own names, so that the folder is also an encoder to train from
# or to trim. The names of the head begin with this prefix.
_TOP = "classifier."


class CheckpointSettings(BaseModel):
    """The settings that turn a checkpoint into a bundle.

    `pooling` refuses checkpoints of older versions that pooled in another way.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    scheme: LabelScheme
    normalizer: str
    max_length: int
    pooling: Literal["mean"] = "mean"
    dropout: float
    coverage: float
    min_agreement: float
    max_logit_difference: float
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model, its settings, and the folder with its `tokenizer.json` and `config.json`.

    `sample` is a part of the training text, on which int8 scales are calibrated.
    """

    folder: Path
    settings: CheckpointSettings
    model: SentenceClassifier
    sample: Sequence[str]


def save_checkpoint(
    folder: Path,
    model: SentenceClassifier,
    settings: CheckpointSettings,
    *,
    tokenizer: PreTrainedTokenizerBase,
    held_out: Sequence[LabelledSentence],
    sample: Sequence[str],
) -> Checkpoint:
    """Write weights, settings, tokenizer, held-out sentences and sample into `folder`.

    `config.json` is the encoder's with the labels added, so `transformers.AutoConfig` reads it.
    """
    names = settings.scheme.names
    config = model.encoder.config
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.pad_token_id = tokenizer.pad_token_id
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    rows = [{"text": item.text, "label": item.label} for item in held_out]
    (folder / HELD_OUT).write_text(_json_lines(rows), encoding="utf-8")
    (folder / _SAMPLE).write_text(_json_lines({"text": text} for text in sample), encoding="utf-8")
    save_file(_stored(model.state_dict()), folder / WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(settings.model_dump(mode="json"), ensure_ascii=False, indent=1)
    (folder / SETTINGS).write_text(text + "\n", encoding="utf-8")
    return Checkpoint(folder, settings, model, sample)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; raise InputError if `folder` does not hold a whole one."""
    settings = _read_settings(folder)
    try:
        model = SentenceClassifier(
            empty_encoder(AutoConfig.from_pretrained(folder)),
            labels=len(settings.scheme.names),
            dropout=settings.dropout,
        )
        model.load_state_dict(_restored(load_file(folder / WEIGHTS)))
        lines = (folder / _SAMPLE).read_text(encoding="utf-8").splitlines()
        sample = [str(json.loads(line)["text"]) for line in lines]
    except (KeyError, OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise _no_checkpoint(folder, " ".join(str(error).split())) from error
    return Checkpoint(folder, settings, model, sample)


def model_name(folder: Path) -> str:
    """Return a checkpoint's name and the beginning of the SHA-256 of its weights."""
    return f"{_read_settings(folder).name}@{sha256(folder / WEIGHTS)[:12]}"


def _read_settings(folder: Path) -> CheckpointSettings:
    if not (folder / SETTINGS).is_file():
        raise _no_checkpoint(folder, f"{SETTINGS} is missing")
    try:
        return CheckpointSettings.model_validate_json((folder / SETTINGS).read_bytes())
    except (OSError, ValueError) as error:
        raise _no_checkpoint(folder, " ".join(str(error).split())) from error


def _no_checkpoint(folder: Path, why: str) -> InputError:
    return InputError(
        f"{folder}: not a checkpoint: {why}",
        "Name the folder `checkpoint` that `rasd train` writes beside the bundle.",
    )


def _json_lines(rows: Iterable[dict[str, str]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _stored(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    part = "encoder."
    return {
        name.removeprefix(part) if name.startswith(part) else _TOP + name: value
        for name, value in weights.items()
    }


def _restored(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(_TOP) if name.startswith(_TOP) else f"encoder.{name}": value
        for name, value in weights.items()
    }
