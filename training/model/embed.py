"""Sentence vectors of an encoder that is not fine-tuned."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

from serving.progress import SentenceProgress
from training.arrays import FloatArray
from training.config import SHIPPED_ENCODER, encoder_to_load, is_folder
from training.model.classifier import load_encoder, load_encoder_tokenizer, longest_input
from training.model.hub import find_source

_BATCH = 32
_MAX_LENGTH = 128


def embed(texts: Sequence[str], encoder: str | None = None) -> FloatArray:
    """Return one vector per text (n, width): the mean of the encoder's token vectors.

    `encoder` is a folder or a hub id, else the encoder of the default model. It is not fine-tuned,
    so the vectors do not depend on the labels.
    """
    name: Path | str = encoder or SHIPPED_ENCODER
    if isinstance(name, str) and is_folder(name):
        name = Path(name).expanduser()
    source = find_source(encoder_to_load(name))
    tokenizer = load_encoder_tokenizer(source)
    logging.disable_progress_bar()  # of the weights; ours follows
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_encoder(source).eval().to(device)
    length = longest_input(model, _MAX_LENGTH)
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    options = {"padding": True, "truncation": True, "max_length": length, "return_tensors": "pt"}
    with SentenceProgress(len(order), visible=sys.stderr.isatty()) as progress:
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            batch = tokenizer([texts[row] for row in rows], **options).to(device)
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            vectors[rows] = ((hidden * mask).sum(1) / mask.sum(1)).cpu().numpy()
            progress.update(len(rows), start + len(rows))
    return vectors
