"""`rasd train`: labelled sentences to a bundle, one step after the other."""

import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from transformers import AutoTokenizer, PreTrainedTokenizerBase, set_seed
from transformers.utils import logging

from serving.atomic import atomic_folder, check_place
from serving.bundle import MANIFEST
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.onnx_model import TokenIds, load_tokenizer, tokenize
from training.arrays import Float32Array
from serving.text.normalize import NORMALIZERS
from training.config import TrainConfig
from training.environment import environment
from training.export.run import export_bundle
from training.labelled.reading import fingerprint
from training.labelled.splits import Sides, read_sides
from training.model.checkpoint import SETTINGS, CheckpointSettings, model_name, save_checkpoint
from training.model.classifier import SentenceClassifier, load_encoder
from training.model.hub import Source, find_source
from training.train.batches import to_examples
from training.train.failures import DivergedError, memory_errors_explained
from training.train.finetune import Examples, fine_tune
from training.train.resume import SOFT_LABELS, claim, run_identity
from training.train.teachers import keep_layers, prepare_lessons
from training.train.trainer import check_hardware_and_trackers

# Enough to meet every wide channel; more would let rare extremes coarsen the scales.
_SAMPLE = 128


def train(config: TrainConfig, out: Path, *, command: Sequence[str]) -> Path:
    """Fine-tune, export and calibrate as `config` says; return the bundle's folder in `out`.

    `out` gets `checkpoint/` (for `rasd export`) and `bundle/`, each whole or not at all; until
    then `trainer/`, from which the same call goes on after a kill. `command` is what a person
    typed, kept with the model. Under accelerate's launcher every process calls this, and the
    first one alone writes.
    """
    process = PartialState(cpu=not torch.cuda.is_available())
    progress = sys.stderr.isatty()
    if not progress:
        logging.disable_progress_bar()
    check_hardware_and_trackers(config.optimisation)
    work = out / "trainer"
    _check_output(out, work)
    scheme = LabelScheme.read(config.labels)
    normalize = NORMALIZERS[config.normalizer].apply
    sides = read_sides(config, scheme, normalize)
    if process.is_main_process:
        for warning in sides.warnings:
            sys.stderr.write(f"warning: {warning}\n")
    source = find_source(config.encoder_to_load(), config.encoder_revision)
    encoder = load_encoder(source, dropout=config.model.encoder_dropout)
    if config.distill.layers:
        keep_layers(encoder, config.distill.layers)
    set_seed(config.optimisation.seed)  # for the head
    model = SentenceClassifier(
        encoder,
        labels=len(scheme.names),
        pooling=config.model.pooling,
        dropout=config.model.dropout,
    )
    tokenizer = _load_tokenizer(source)
    lessons = prepare_lessons(config, scheme.names, sides, normalize)
    provenance = _provenance(config, sides, scheme, command, source)
    provenance["distill"] = lessons.provenance()
    if process.is_main_process:
        identity = run_identity(
            config,
            data=provenance["data"],
            distill=provenance["distill"],
            encoder_commit=source.commit,
            processes=process.num_processes,
        )
        if claim(work, identity):
            sys.stderr.write(f"{work}: going on with the unfinished run\n")
    process.wait_for_everyone()
    learned = [*(sentence.text for sentence in sides.train), *lessons.unlabelled]
    teacher = lessons.soft_labels(
        learned, config, scheme.names, work / SOFT_LABELS, progress=progress
    )
    examples = _examples(config, sides, scheme, tokenizer, learned=learned, teacher=teacher)
    try:
        with memory_errors_explained(config):
            result = fine_tune(model, examples, config, work, progress=progress)
    except DivergedError:
        # Going on from its checkpoints would diverge again.
        shutil.rmtree(work, ignore_errors=True)
        raise
    if not process.is_main_process:
        return out / "bundle"

    seen = {"history": result.history, "kept": result.kept, "seeds": result.seeds}
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
        provenance=provenance | seen | {"environment": environment()},
    )
    with atomic_folder(out / "checkpoint") as folder:
        saved = save_checkpoint(
            folder,
            result.model,
            settings,
            tokenizer=tokenizer,
            held_out=sides.dev,
            sample=_sample(sides, config.optimisation.seed),
        )
    checkpoint = replace(saved, folder=out / "checkpoint")
    bundle = export_bundle(checkpoint, sides.dev, out / "bundle")
    shutil.rmtree(work)
    return bundle


def _check_output(out: Path, work: Path) -> None:
    """Raise InputError for a folder in which a run would replace what is not its own.

    A finished model stands there without `work`; beside it, its run has not come to an end.
    """
    signs = {out / "checkpoint": SETTINGS, out / "bundle": MANIFEST}
    for folder, sign in signs.items():
        check_place(folder, sign=sign)
    if not work.is_dir() and any((folder / sign).is_file() for folder, sign in signs.items()):
        raise InputError(
            f"{out}: holds a model that has been trained already",
            f"Name another folder with --out, or remove {out} to train it anew.",
        )


def _examples(
    config: TrainConfig,
    sides: Sides,
    scheme: LabelScheme,
    tokenizer: PreTrainedTokenizerBase,
    *,
    learned: Sequence[str],
    teacher: Float32Array | None,
) -> Examples:
    """Tokenise what is `learned` and what is held out with the tokenizer that serving uses."""
    normalize = NORMALIZERS[config.normalizer].apply
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        fast = load_tokenizer(Path(folder) / "tokenizer.json", max_length=config.max_length)

    def tokens(texts: Iterable[str]) -> list[TokenIds]:
        return tokenize(fast, [normalize(text) for text in texts])

    held_out = tokens(sentence.text for sentence in sides.dev)
    return Examples(
        to_examples(sides.train, tokens(learned), config, scheme.names, teacher),
        to_examples(sides.dev, held_out, config, scheme.names),
        int(tokenizer.pad_token_id),
    )


def _sample(sides: Sides, seed: int) -> list[str]:
    """Draw the training sentences on which int8 finds its scales."""
    order = np.random.default_rng(seed).permutation(len(sides.train))
    return [sides.train[index].text for index in order[:_SAMPLE]]


def _load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        source.name, revision=source.revision, local_files_only=source.local_files_only
    )
    if not tokenizer.is_fast:
        raise InputError(
            f"encoder: {source.name} has a tokenizer that only Python can run",
            "Use an encoder with a tokenizer.json.",
        )
    return tokenizer


def _provenance(
    config: TrainConfig,
    sides: Sides,
    scheme: LabelScheme,
    command: Sequence[str],
    source: Source,
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
        "encoder_commit": source.commit,
        "data": {
            side: {
                "sentences": len(sentences),
                "labels": {n: sum(s.label == n for s in sentences) for n in scheme.names},
                "fingerprint": fingerprint(sentences, normalize),
            }
            for side, sentences in (("train", sides.train), ("held_out", sides.dev))
        },
    }


def _encoder_name(config: TrainConfig) -> str:
    """Return the hub id of the encoder or of what its folder stands for, else the model's name.

    A folder that is no model of ours goes by the folder's name.
    """
    if isinstance(config.encoder, str):
        return config.encoder
    if config.encoder_if_absent is not None:
        return config.encoder_if_absent
    trained = (config.encoder / SETTINGS).is_file()
    return model_name(config.encoder) if trained else config.encoder.name
