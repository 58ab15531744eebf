"""What other models say of sentences: the soft labels that a student learns from.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network". The teachers read
text, so a student may have other word pieces and another normaliser than they.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from serving.atomic import atomic_file
from serving.bundle import MANIFEST
from serving.classifier import Classifier
from serving.errors import InputError
from serving.files.documents import DocumentStream, ReadOptions
from serving.files.sources import find_sources
from serving.onnx_model import load_tokenizer, tokenize
from serving.progress import SentenceProgress
from serving.records import Prediction
from serving.text.normalize import NORMALIZERS
from serving.text.sentences import split_sentences
from training.config import TrainConfig
from training.labelled.reading import LabelledSentence, Normalize
from training.labelled.splits import Sides, leak_key
from training.model.checkpoint import SETTINGS, load_checkpoint, model_name
from training.train.linear import check_learnable, fit_linear
from training.train.trainer import use_bf16

Probabilities = NDArray[np.float32]
Answer = Callable[[Sequence[str]], Probabilities]

# Sentences that a teacher is asked at a time: enough to sort them by length.
_CHUNK = 1024
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model to learn from: its name with the beginning of its digest, and what it answers.

    `answer` gives probabilities (n, labels) of n sentences, in the order of its `labels`.
    """

    model: str
    labels: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Lessons:
    """Whom a student learns from, and the sentences that have no label but theirs.

    Both are empty for a student of labelled sentences alone.
    """

    teachers: list[Teacher]
    unlabelled: list[str]

    def provenance(self) -> dict[str, Any] | None:
        """Return what it takes to know whether another student has learned from the same."""
        if not self.teachers:
            return None
        digest = hashlib.sha256("\n".join(sorted(self.unlabelled)).encode()).hexdigest()
        return {
            "teachers": [teacher.model for teacher in self.teachers],
            "unlabelled": {"sentences": len(self.unlabelled), "fingerprint": digest},
        }

    def soft_labels(
        self,
        texts: Sequence[str],
        config: TrainConfig,
        names: Sequence[str],
        stored: Path,
        *,
        progress: bool,
    ) -> Probabilities | None:
        """Return what the teachers say of `texts` (n, labels), None without teachers.

        What the file `stored` holds is not asked again; of several processes one asks.
        """
        if not self.teachers:
            return None
        process = PartialState()
        if process.is_main_process and not stored.is_file():
            heat = config.distill.temperature
            soft = ask(self.teachers, texts, names, temperature=heat, progress=progress)
            with atomic_file(stored) as temporary, temporary.open("wb") as stream:
                np.save(stream, soft)
        process.wait_for_everyone()
        answers: Probabilities = np.load(stored)
        return answers


def prepare_lessons(
    config: TrainConfig, names: Sequence[str], sides: Sides, normalize: Normalize
) -> Lessons:
    """Load the teachers and read the unlabelled files that `config` names.

    Raises InputError for what is no model, a teacher of other labels, or files without text.
    """
    teachers = [load_teacher(folder) for folder in config.distill.teachers]
    for teacher in teachers:
        if set(teacher.labels) != set(names):
            raise InputError(
                f"distill.teachers: {teacher.model} knows {', '.join(teacher.labels)}; "
                f"the student is to learn {', '.join(names)}",
                "Teacher and student need the same labels.",
            )
    if config.distill.linear:
        teachers.append(_linear_teacher(sides.train, names, normalize))
    return Lessons(teachers, read_unlabelled(config, sides.dev, normalize))


def load_teacher(folder: Path) -> Teacher:
    """Load a bundle, whose probabilities are calibrated, or a checkpoint, whose are not.

    Raises InputError if `folder` is neither.
    """
    if (folder / MANIFEST).is_file():
        return _bundle_teacher(folder)
    if (folder / SETTINGS).is_file():
        return _checkpoint_teacher(folder)
    within = folder / "bundle"
    raise InputError(
        f"distill.teachers: {folder} is no model",
        f"Did you mean {within}?"
        if within.is_dir()
        else "Name folders `bundle` or `checkpoint` that `rasd train` has left, "
        "or serving/models/default.",
    )


def ask(
    teachers: Sequence[Teacher],
    texts: Sequence[str],
    names: Sequence[str],
    *,
    temperature: float,
    progress: bool,
) -> Probabilities:
    """Return the teachers' mean probabilities (n, labels), softened, in the order of `names`.

    Softened: to the power of 1 / `temperature` and scaled to a sum of 1, which is what dividing
    the logits by it does.
    """
    total = np.zeros((len(texts), len(names)), np.float64)
    with SentenceProgress(len(texts) * len(teachers), visible=progress) as bar:
        done = 0
        for teacher in teachers:
            order = [teacher.labels.index(name) for name in names]
            for start in range(0, len(texts), _CHUNK):
                chunk = texts[start : start + _CHUNK]
                total[start : start + _CHUNK] += teacher.answer(chunk)[:, order]
                done += len(chunk)
                bar.update(len(chunk), done)
    softened = (total / len(teachers)) ** (1 / temperature)
    answers: Probabilities = (softened / softened.sum(axis=1, keepdims=True)).astype(np.float32)
    return answers


def read_unlabelled(
    config: TrainConfig, held_out: Sequence[LabelledSentence], normalize: Normalize
) -> list[str]:
    """Return the sentences of the unlabelled files, each once, none near-identical to a held-out.

    Files are read as `rasd classify` reads them and split into sentences. With a limit, which
    ones are left in hangs on their text and the seed alone, not on the files' order.
    """
    files = [str(path) for path in config.distill.unlabelled]
    if not files:
        return []
    closed = {leak_key(sentence.text, normalize) for sentence in held_out}
    found: dict[str, str] = {}
    options = ReadOptions(text_field=config.distill.text_field, text_option="distill.text_field")
    for document in DocumentStream(find_sources(files), options):
        for sentence in split_sentences(document.text):
            key = leak_key(sentence.text, normalize)
            if any(map(str.isalnum, normalize(sentence.text))) and key not in closed:
                found.setdefault(key, sentence.text)
    if not found:
        raise InputError(
            f"distill.unlabelled: no sentence in {', '.join(files)}", "Name files that hold text."
        )
    if config.distill.limit is None:
        return list(found.values())
    seed = config.optimisation.seed
    drawn = sorted(found, key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode()).digest())
    return [found[key] for key in drawn[: config.distill.limit]]


def keep_layers(encoder: PreTrainedModel, layers: Sequence[int]) -> None:
    """Leave the encoder only the layers of these numbers, counted from 0 at the bottom.

    Raises InputError for a number that it does not have, and for an encoder that does not keep
    its layers in one list.
    """
    depth = int(encoder.config.num_hidden_layers)
    wrong = [number for number in layers if number >= depth]
    if wrong:
        raise InputError(
            f"distill.layers: the encoder has no layer {wrong[0]}",
            f"Its {depth} layers are 0 to {depth - 1}.",
        )
    for module in encoder.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == depth:
                setattr(module, name, nn.ModuleList(child[number] for number in layers))
                encoder.config.num_hidden_layers = len(layers)
                return
    raise InputError(
        f"distill.layers: {type(encoder).__name__} does not keep its layers in one list",
        "Leave distill.layers out, or take another encoder.",
    )


def _linear_teacher(
    sentences: Sequence[LabelledSentence], names: Sequence[str], normalize: Normalize
) -> Teacher:
    """Return the linear model of the same sentences, fitted when it is first asked."""
    check_learnable(sentences)
    fitted = cache(lambda: fit_linear(sentences, names, normalize))
    return Teacher("linear", tuple(names), lambda texts: fitted().probabilities(texts))


def _bundle_teacher(folder: Path) -> Teacher:
    classifier = Classifier.load(folder)
    names = classifier.bundle.scheme.names

    def answer(texts: Sequence[str]) -> Probabilities:
        # Of a text that its own normaliser leaves nothing of, a teacher knows nothing.
        nothing = [1 / len(names)] * len(names)
        return np.array(
            [
                list(item.probabilities.values()) if isinstance(item, Prediction) else nothing
                for item in classifier.classify(texts)
            ],
            np.float32,
        )

    return Teacher(classifier.model, names, answer)


def _checkpoint_teacher(folder: Path) -> Teacher:
    checkpoint = load_checkpoint(folder)
    settings = checkpoint.settings
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = checkpoint.model.eval()
    normalize = NORMALIZERS[settings.normalizer].apply
    tokenizer = load_tokenizer(folder / "tokenizer.json", max_length=settings.max_length)
    padding = int(model.encoder.config.pad_token_id)
    half_precision = torch.autocast(device.type, torch.bfloat16, enabled=use_bf16("auto"))

    def answer(texts: Sequence[str]) -> Probabilities:
        ids = [item.ids for item in tokenize(tokenizer, [normalize(text) for text in texts])]
        result = np.empty((len(ids), len(settings.scheme.names)), np.float32)
        model.to(device)
        by_length = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        for start in range(0, len(ids), _BATCH):
            rows = by_length[start : start + _BATCH]
            batch = [torch.tensor(ids[row]) for row in rows]
            padded = nn.utils.rnn.pad_sequence(batch, batch_first=True, padding_value=padding)
            lengths = torch.tensor([len(row) for row in batch])
            mask = (torch.arange(padded.shape[1]) < lengths.unsqueeze(1)).long()
            with torch.inference_mode(), half_precision:
                logits = model(padded.to(device), mask.to(device))
            result[rows] = logits.float().softmax(-1).cpu().numpy()
        model.cpu()  # the student needs the device
        return result

    return Teacher(model_name(folder), settings.scheme.names, answer)
