"""The classifiers that `arabert_size.py` and `int8.py` measure, their graphs, and int8's error."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import BertWordPieceTokenizer
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertTokenizerFast,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from training.export.int8 import quantize_int8
from training.export.onnx_graph import export_onnx
from training.model.classifier import SentenceClassifier, empty_encoder

PIECES = 64_000
LABELS = 5
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[رابط]", "[بريد]", "[مستخدم]"]


@dataclass(frozen=True, slots=True)
class Graphs:
    """One classifier's graphs: single precision, ONNX Runtime's dynamic int8, and ours."""

    full: Path
    stock: Path
    ours: Path


def write_graphs(
    model: SentenceClassifier, folder: Path, calibration: Sequence[Sequence[int]]
) -> Graphs:
    """Write the graphs of `model` into `folder`; ours is calibrated on `calibration` token ids."""
    graphs = Graphs(*(folder / f"{name}.onnx" for name in ("full", "stock", "ours")))
    export_onnx(model, graphs.full)
    quantize_int8(graphs.full, graphs.ours, calibration)
    logging.disable(logging.WARNING)  # it advises to optimise first, which changes nothing here
    quantize_dynamic(graphs.full, graphs.stock, per_channel=True, weight_type=QuantType.QInt8)
    logging.disable(logging.NOTSET)
    return graphs


def arabert_parts(
    encoder: Path | None, texts: Sequence[str], folder: Path, *, layers: int | None
) -> tuple[PretrainedConfig, PreTrainedTokenizerBase]:
    """Return AraBERT's configuration and tokenizer from `encoder`, or substitutes made in `folder`.

    The substitutes have its shape, which is BERT base's with 64,000 word pieces; the pieces are
    learned from `texts`, as many as those give. `layers` takes the place of its 12.
    """
    if encoder is not None:
        config = AutoConfig.from_pretrained(encoder)
        tokenizer = AutoTokenizer.from_pretrained(encoder)
    else:
        pieces = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
        pieces.train_from_iterator(
            texts, vocab_size=PIECES, special_tokens=_SPECIAL, show_progress=False
        )
        pieces.save_model(str(folder))
        config = BertConfig(vocab_size=PIECES)
        tokenizer = BertTokenizerFast(
            str(folder / "vocab.txt"), do_lower_case=False, additional_special_tokens=_SPECIAL[5:]
        )
    if layers is not None:
        config.num_hidden_layers = layers
    return config, tokenizer


def random_classifier(config: PretrainedConfig) -> SentenceClassifier:
    """Return a classifier with random weights: they take the same time as trained ones."""
    torch.manual_seed(0)
    return SentenceClassifier(empty_encoder(config), labels=LABELS, dropout=0.0)


def centre(model: SentenceClassifier, sentences: Sequence[Sequence[int]]) -> None:
    """Move an untrained head's bias until every label's mean logit on `sentences` is zero.

    Otherwise one label would win everywhere, and int8 would agree whatever its error.
    """
    model.eval()
    with torch.inference_mode():
        rows = [model(torch.tensor([ids]), torch.ones((1, len(ids)))) for ids in sentences]
    model.head.bias.data -= torch.cat(rows).mean(0)


def error(full: NDArray[np.float32], int8: NDArray[np.float32]) -> str:
    """Describe how far int8's logits (sentences, labels) are from those in single precision.

    The error is the root mean square of the differences, each in standard deviations of its
    label's logit between sentences.
    """
    rms = np.sqrt((((int8 - full) / full.std(axis=0)) ** 2).mean())
    agreement = (full.argmax(1) == int8.argmax(1)).mean()
    return f"{rms:.3f} standard deviations of the logits, same label {agreement:.1%}"
