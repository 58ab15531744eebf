"""The steps of `rasd train`: labelled sentences to a checkpoint and a bundle."""

import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed
from transformers.utils import logging

from serving.atomic import atomic_folder, check_place
from serving.bundle import MANIFEST
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.onnx_model import TokenIds, load_tokenizer, tokenize
from serving.provenance import Data
from serving.terminal import tell
from serving.text.normalize import NORMALIZERS
from training.arrays import Float32Array
from training.config import (
    FIXED_SEED,
    TrainConfig,
    encoder_to_load,
)
from training.export.run import Predecessor, export_bundle
from training.labelled.sentence import LabelledSentence
from training.labelled.splits import Sides, read_sides
from training.model.checkpoint import (
    SETTINGS,
    Checkpoint,
    CheckpointSettings,
    load_checkpoint,
    save_checkpoint,
)
from training.model.classifier import (
    SentenceClassifier,
    freeze_layers,
    load_encoder,
    load_encoder_tokenizer,
    longest_input,
)
from training.model.hub import find_source
from training.train.batches import to_examples
from training.train.failures import DivergedError, memory_errors_explained
from training.train.finetune import Examples, fine_tune
from training.train.record import encoder_name, provenance_of, side_of
from training.train.resume import (
    PRECISION,
    SOFT_LABELS,
    discard,
    encoder_version,
    reserve,
    rows_digest,
    run_identity,
)
from training.train.teachers import keep_layers, prepare_lessons
from training.train.trainer import check_hardware_and_trackers, settle_precision

# Enough to contain every wide channel; with more, rare extremes would coarsen the scales.
_SAMPLE = 128
# Two files that share sentences give a warning for each of them.
_WARNINGS = 10


def train(
    config: TrainConfig,
    out: Path,
    *,
    command: Sequence[str],
    predecessor: Predecessor | None = None,
    tested: Sequence[LabelledSentence] = (),
) -> Path:
    """Fine-tune, export and calibrate as `config` says; return the bundle's folder in `out`.

    `out` gets `checkpoint/` (for `rasd export`) and `bundle/`, each written atomically. During the
    training it holds `trainer/`, from which the same call resumes after a kill. `command` is the
    command line, recorded with the model. With a `predecessor`, the bundle is calibrated to agree
    with it, and not on held-out labels. Nor do these choose the weights if there is a mean of the
    last steps: the predecessor may have learned them, so the least changed weights would win.
    Teachers label nothing that is near-identical to one of `tested`, which are in no file of
    `config`.
    Under accelerate's launcher every process calls this function, and only the main one writes.
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
    _check_weights(config, sides)
    sides.test.extend(tested)
    if process.is_main_process:
        _warn(sides.warnings)
    source = find_source(encoder_to_load(config.encoder), config.encoder_revision)
    encoder = load_encoder(source, dropout=config.model.encoder_dropout)
    _check_length(config, encoder)
    start = _own_checkpoint(config)
    model = _model(config, encoder, scheme, start)
    tokenizer = load_encoder_tokenizer(source)
    lessons = prepare_lessons(config, scheme.names, sides, normalize)
    data = Data(
        train=side_of(sides.train, scheme, normalize),
        held_out=side_of(sides.dev, scheme, normalize),
    )
    distilled = lessons.provenance()
    if process.is_main_process:
        identity = run_identity(
            config,
            # The scheme, not its file: the logits are in the order of its names.
            labels=list(scheme.names),
            data=data.model_dump(),
            rows=rows_digest(sides.train, lessons.unlabelled),
            distill=distilled and distilled.model_dump(),
            encoder=encoder_version(source),
            processes=process.num_processes,
        )
        if reserve(work, identity):
            tell(f"{work}: resuming the unfinished run")
    process.wait_for_everyone()
    config = settle_precision(config, work / PRECISION)
    learned = [*(sentence.text for sentence in sides.train), *lessons.unlabelled]
    teacher = lessons.soft_labels(learned, scheme.names, work / SOFT_LABELS, progress=progress)
    examples = _examples(config, sides, scheme, tokenizer, learned=learned, teacher=teacher)
    try:
        with memory_errors_explained(config):
            trained = fine_tune(
                model,
                examples,
                config,
                work,
                progress=progress,
                prefer_average=predecessor is not None,
            )
    except DivergedError:
        # A run resumed from its checkpoints would diverge again.
        discard(work)
        raise
    if not process.is_main_process:
        return out / "bundle"

    settings = CheckpointSettings(
        name=config.name,
        scheme=scheme,
        normalizer=config.normalizer,
        max_length=config.max_length,
        dropout=config.model.dropout,
        coverage=config.abstention.coverage,
        min_agreement=config.export.min_agreement,
        max_logit_difference=config.export.max_logit_difference,
        provenance=provenance_of(
            config,
            data=data,
            distilled=distilled,
            trained=trained,
            command=command,
            source=source,
            started_from=start.settings.provenance.restored_from if start else None,
        ),
    )
    with atomic_folder(out / "checkpoint") as folder:
        saved = save_checkpoint(
            folder,
            model,
            settings,
            tokenizer=tokenizer,
            held_out=sides.dev,
            sample=_sample(sides),
        )
    checkpoint = replace(saved, folder=out / "checkpoint")
    bundle = export_bundle(checkpoint, sides.dev, out / "bundle", predecessor)
    discard(work)
    return bundle


def _warn(warnings: Sequence[str]) -> None:
    """Show the first warnings, and how many more there are."""
    for warning in warnings[:_WARNINGS]:
        tell(f"warning: {warning}")
    if (more := len(warnings) - _WARNINGS) > 0:
        tell(f"warning: and {more:,} more; `rasd validate` lists them")


def _own_checkpoint(config: TrainConfig) -> Checkpoint | None:
    """Return the checkpoint that `encoder` names, if it names one."""
    if isinstance(config.encoder, str) or not (config.encoder / SETTINGS).is_file():
        return None
    return load_checkpoint(config.encoder)


def _model(
    config: TrainConfig, encoder: PreTrainedModel, scheme: LabelScheme, start: Checkpoint | None
) -> SentenceClassifier:
    """Return the model to train: the encoder's layers, and the head of `start` if it fits."""
    if config.distill.layers:
        keep_layers(encoder, config.distill.layers)
    set_seed(FIXED_SEED)  # for the head
    model = SentenceClassifier(encoder, labels=len(scheme.names), dropout=config.model.dropout)
    if start is not None and start.settings.scheme.names == scheme.names:
        model.head.load_state_dict(start.model.head.state_dict())
    if config.optimisation.frozen_layers:
        freeze_layers(encoder, config.optimisation.frozen_layers)
    return model


def _check_output(out: Path, work: Path) -> None:
    """Raise InputError if a run would replace something that is not its own.

    A model without `work` beside it is finished; with it, its run has not ended.
    """
    signs = {out / "checkpoint": SETTINGS, out / "bundle": MANIFEST}
    for folder, sign in signs.items():
        check_place(folder, sign=sign)
    if not work.is_dir() and any((folder / sign).is_file() for folder, sign in signs.items()):
        raise InputError(
            f"{out}: holds a model that has been trained already",
            f"Name another folder with --out, or remove {out} to train again.",
        )


def _check_weights(config: TrainConfig, sides: Sides) -> None:
    """Raise InputError if no sentence would have a weight in the loss."""
    taught = any(sentence.sure for sentence in sides.train) or config.distill.unlabelled
    if not config.data.unsure_weight and not taught:
        raise InputError(
            "data.unsure_weight is 0, and every training sentence is unsure",
            "Set it above 0, or add sentences that are sure.",
        )


def _check_length(config: TrainConfig, encoder: PreTrainedModel) -> None:
    longest = longest_input(encoder, config.max_length)
    if longest < config.max_length:
        name = encoder_name(config.encoder)
        raise InputError(
            f"max_length: {config.max_length} tokens, but {name} has positions for {longest}",
            f"Set max_length to {longest} or less.",
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
    """Tokenise the texts to learn and the held-out sentences as serving does."""
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


def _sample(sides: Sides) -> list[str]:
    """Draw the training sentences on which int8 scales are calibrated."""
    order = np.random.default_rng(FIXED_SEED).permutation(len(sides.train))
    return [sides.train[index].text for index in order[:_SAMPLE]]
