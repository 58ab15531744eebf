"""Knowledge distillation: the teachers, their soft labels, and the text that they label.

Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network". Teachers read text,
so their tokenizer and normaliser may differ from the student's. The soft labels have temperature 1,
as for every shipped model.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from torch import nn
from transformers import PreTrainedModel

from serving.atomic import atomic_file
from serving.bundle import MANIFEST
from serving.classifier import Classifier
from serving.errors import InputError
from serving.files.documents import DocumentStream
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.onnx_model import load_tokenizer, tokenize
from serving.progress import SentenceProgress
from serving.provenance import Distilled, Unlabelled
from serving.records import Prediction
from serving.terminal import tell_notes
from serving.text.normalize import NORMALIZERS
from serving.text.sentences import split_sentences
from training.arrays import Float32Array
from training.config import FIXED_SEED, DistillConfig, TrainConfig
from training.labelled.reading import Normalize
from training.labelled.sentence import LabelledSentence
from training.labelled.splits import Sides, leak_key
from training.model.checkpoint import SETTINGS, load_checkpoint, model_name
from training.model.classifier import empty_encoder
from training.train.linear import check_learnable, fit_linear
from training.train.trainer import use_bf16

Answer = Callable[[Sequence[str]], Float32Array]

# Sentences per call of a teacher: enough to sort them by length.
_CHUNK = 1024
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model to learn from: its name with the beginning of its digest, its labels, its answers.

    `answer` maps n texts to probabilities (n, labels), in the order of its `labels`.
    """

    model: str
    labels: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Lessons:
    """The teachers and the sentences that only they label; both empty without distillation."""

    teachers: list[Teacher]
    unlabelled: list[str]

    def provenance(self) -> Distilled | None:
        """Return the teachers and the unlabelled text as the bundle records them."""
        if not self.teachers:
            return None
        digest = hashlib.sha256("\n".join(sorted(self.unlabelled)).encode()).hexdigest()
        return Distilled(
            teachers=tuple(teacher.model for teacher in self.teachers),
            unlabelled=Unlabelled(sentences=len(self.unlabelled), fingerprint=digest),
        )

    def soft_labels(
        self,
        texts: Sequence[str],
        names: Sequence[str],
        stored: Path,
        *,
        progress: bool,
    ) -> Float32Array | None:
        """Return the teachers' probabilities of `texts` (n, labels), None without teachers.

        They are kept in the file `stored`; of several processes only one computes them.
        """
        if not self.teachers:
            return None
        process = PartialState()
        if process.is_main_process and not stored.is_file():
            soft = ask(self.teachers, texts, names, progress=progress)
            with atomic_file(stored) as temporary, temporary.open("wb") as stream:
                np.save(stream, soft)
        process.wait_for_everyone()
        answers: Float32Array = np.load(stored)
        return answers


def prepare_lessons(
    config: TrainConfig, names: Sequence[str], sides: Sides, normalize: Normalize
) -> Lessons:
    """Load the teachers and read the unlabelled files that `config` names.

    They label no sentence that is near-identical to one for the test, held out, or corrected.
    Raises InputError for a folder without a model, other labels, or files without text.
    """
    teachers = [load_teacher(folder) for folder in config.distill.teachers]
    for teacher in teachers:
        if set(teacher.labels) != set(names):
            raise InputError(
                f"distill.teachers: {teacher.model} knows {', '.join(teacher.labels)}; "
                f"the student learns {', '.join(names)}",
                "Teacher and student need the same labels.",
            )
    if config.distill.linear:
        teachers.append(_linear_teacher(sides.train, names, normalize))
    files = set(map(str, config.data.corrections))
    corrected = [sentence for sentence in sides.train if str(sentence.file) in files]
    closed = [*sides.dev, *sides.test, *corrected]
    return Lessons(teachers, read_unlabelled(config.distill, closed, normalize))


def load_teacher(folder: Path) -> Teacher:
    """Load a bundle (its probabilities are calibrated) or a checkpoint (they are not).

    Raises InputError if `folder` is neither.
    """
    if (folder / MANIFEST).is_file():
        return _bundle_teacher(folder)
    if (folder / SETTINGS).is_file():
        return _checkpoint_teacher(folder)
    within = folder / "bundle"
    raise InputError(
        f"distill.teachers: {folder} is not a model",
        f"Did you mean {within}?"
        if within.is_dir()
        else "Name `bundle` or `checkpoint` folders of `rasd train`, or serving/models/default.",
    )


def ask(
    teachers: Sequence[Teacher],
    texts: Sequence[str],
    names: Sequence[str],
    *,
    progress: bool,
) -> Float32Array:
    """Return the teachers' mean probabilities (n, labels) in the order of `names`."""
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
    answers: Float32Array = (total / total.sum(axis=1, keepdims=True)).astype(np.float32)
    return answers


def read_unlabelled(
    config: DistillConfig, closed: Sequence[LabelledSentence], normalize: Normalize
) -> list[str]:
    """Return the sentences of the unlabelled files, each once, none near-identical to a closed one.

    Files are read as `rasd classify` reads them and split into sentences. Which ones a limit
    keeps depends only on their text and the seed, not on the order of the files.
    """
    files = [str(path) for path in config.unlabelled]
    if not files:
        return []
    barred = {leak_key(sentence.text, normalize) for sentence in closed}
    found: dict[str, str] = {}
    options = ReadOptions(text_field=config.text_field, text_option="distill.text_field")
    documents = DocumentStream(find_sources(files), options)
    for document in documents:
        for sentence in split_sentences(document.text):
            key = leak_key(sentence.text, normalize)
            if any(map(str.isalnum, normalize(sentence.text))) and key not in barred:
                found.setdefault(key, sentence.text)
    tell_notes(documents.notes)
    if not found:
        raise InputError(
            f"distill.unlabelled: no sentence in {', '.join(files)}", "Name files that hold text."
        )
    if config.limit is None:
        return list(found.values())
    drawn = sorted(found, key=lambda key: hashlib.sha256(f"{FIXED_SEED}\n{key}".encode()).digest())
    return [found[key] for key in drawn[: config.limit]]


def keep_layers(encoder: PreTrainedModel, layers: Sequence[int]) -> None:
    """Keep only these layers of the encoder, counted from 0 at the bottom.

    Raises InputError for a layer that it does not have, if its layers are not in one list, or if
    its configuration cannot describe an encoder of these layers.
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
                _describe_layers(encoder, layers)
                return
    raise InputError(
        f"distill.layers: {type(encoder).__name__} does not keep its layers in one list",
        "Leave out distill.layers, or use another encoder.",
    )


def _describe_layers(encoder: PreTrainedModel, layers: Sequence[int]) -> None:
    """Change the configuration to that of an encoder with these of its layers alone."""
    config = encoder.config
    config.num_hidden_layers = len(layers)
    if types := getattr(config, "layer_types", None):  # ModernBERT: local or global attention
        config.layer_types = [types[number] for number in layers]
    with torch.device("meta"):
        described = empty_encoder(config).state_dict().keys()
    if described != encoder.state_dict().keys():
        raise InputError(
            f"distill.layers: layer {layers[0]} of {type(encoder).__name__} cannot be the lowest",
            "Keep layer 0 too, or leave out distill.layers.",
        )


def _linear_teacher(
    sentences: Sequence[LabelledSentence], names: Sequence[str], normalize: Normalize
) -> Teacher:
    """Return the linear model of the same sentences; it is fitted on first use."""
    check_learnable(sentences)
    fitted = cache(lambda: fit_linear(sentences, names, normalize))
    return Teacher("linear", tuple(names), lambda texts: fitted().probabilities(texts))


def _bundle_teacher(folder: Path) -> Teacher:
    classifier = Classifier.load(folder)
    names = classifier.bundle.scheme.names

    def answer(texts: Sequence[str]) -> Float32Array:
        # Its own normaliser can leave nothing of a text: then all labels are equally probable.
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

    def answer(texts: Sequence[str]) -> Float32Array:
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
