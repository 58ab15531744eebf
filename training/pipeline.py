"""`rasd train`: labelled sentences to a bundle, one step after the other."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase, set_seed
from transformers.utils import logging

from serving.atomic import atomic_folder
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.normalize import NORMALIZERS
from serving.onnx_model import TokenIds, load_tokenizer, tokenize
from training.checkpoint import Checkpoint, CheckpointSettings, save_checkpoint
from training.config import TrainConfig
from training.environment import environment
from training.export import export_bundle
from training.finetune import FineTuned, fine_tune
from training.labelled import LabelledSentence, fingerprint
from training.model import SentenceClassifier, load_encoder
from training.splits import Sides, read_sides


def train(config: TrainConfig, out: Path, *, command: Sequence[str]) -> Path:
    """Fine-tune, export and calibrate as `config` says; return the bundle's folder in `out`.

    `out` gets `checkpoint/` (for `rasd export`) and `bundle/`, each whole or not at all. `command`
    is what a person typed, kept with the model.
    """
    progress = sys.stderr.isatty()
    if not progress:
        logging.disable_progress_bar()
    scheme = LabelScheme.read(config.labels)
    normalize = NORMALIZERS[config.normalizer].apply
    sides = read_sides(config, scheme, normalize)
    for warning in sides.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    set_seed(config.optimisation.seed)
    source = config.encoder_to_load()
    encoder = load_encoder(source, revision=config.encoder_revision)
    tokenizer = _load_tokenizer(source, config.encoder_revision)
    model = SentenceClassifier(
        encoder,
        labels=len(scheme.names),
        pooling=config.model.pooling,
        dropout=config.model.dropout,
    )
    work = out / "trainer"
    tokenizer.save_pretrained(work)
    fast = load_tokenizer(work / "tokenizer.json", max_length=config.max_length)

    def tokens(sentences: Sequence[LabelledSentence]) -> list[TokenIds]:
        return tokenize(fast, [normalize(sentence.text) for sentence in sentences])

    result = fine_tune(
        model,
        sides.train,
        tokens(sides.train),
        sides.dev,
        tokens(sides.dev),
        config=config,
        names=scheme.names,
        padding_id=int(tokenizer.pad_token_id),
        folder=work,
        progress=progress,
    )
    settings = CheckpointSettings(
        name=config.name,
        scheme=scheme,
        normalizer=config.normalizer,
        max_length=config.max_length,
        pooling=config.model.pooling,
        dropout=config.model.dropout,
        coverage=config.abstention.coverage,
        min_agreement=config.export.min_agreement,
        max_logit_difference=config.export.max_logit_difference,
        provenance=_provenance(config, sides, result, scheme, command),
    )
    with atomic_folder(out / "checkpoint") as folder:
        save_checkpoint(folder, model, settings, tokenizer=tokenizer, held_out=sides.dev)
    shutil.rmtree(work)
    checkpoint = Checkpoint(out / "checkpoint", settings, model)
    return export_bundle(checkpoint, sides.dev, out / "bundle")


def _load_tokenizer(source: Path | str, revision: str | None) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        source, revision=revision or "main"
    )
    if not tokenizer.is_fast:
        raise InputError(
            f"encoder: {source} has a tokenizer that only Python can run",
            "Use an encoder with a tokenizer.json.",
        )
    return tokenizer


def _provenance(
    config: TrainConfig,
    sides: Sides,
    result: FineTuned,
    scheme: LabelScheme,
    command: Sequence[str],
) -> dict[str, Any]:
    """Return what it takes to make this model again.

    Files go without their folders, which are one machine's.
    """
    normalize = NORMALIZERS[config.normalizer].apply
    settings = config.model_dump(mode="json", exclude={"output", "labels"})
    settings["encoder"] = _encoder_name(config)
    for side in ("train", "dev"):
        settings["data"][side] = [path.name for path in getattr(config.data, side)]
    return {
        "command": shlex.join(command),
        "config": settings,
        "data": {
            side: {
                "sentences": len(sentences),
                "labels": {n: sum(s.label == n for s in sentences) for n in scheme.names},
                "fingerprint": fingerprint(sentences, normalize),
            }
            for side, sentences in (("train", sides.train), ("held_out", sides.dev))
        },
        "history": result.history,
        "kept": result.kept,
        "environment": environment(),
    }


def _encoder_name(config: TrainConfig) -> str:
    """Return the hub id of the encoder or of what its folder stands for, else the folder's name."""
    if isinstance(config.encoder, str):
        return config.encoder
    return config.encoder_if_absent or config.encoder.name
