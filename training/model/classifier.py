"""The classifier that is fine-tuned: any encoder, a pooling, one linear layer."""

import inspect
import warnings
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging

from serving.errors import InputError
from training.model.hub import Source, find_source

Pooling = Literal["mean", "cls", "attention"]


class SentenceClassifier(nn.Module):
    """Token vectors of an encoder, pooled to one vector a sentence, mapped to logits.

    `mean` averages the tokens that are not padding, `cls` takes the first token, `attention`
    averages with weights that one learned vector gives.
    """

    def __init__(
        self, encoder: PreTrainedModel, *, labels: int, pooling: Pooling, dropout: float
    ) -> None:
        """Wrap `encoder` with a fresh head for `labels` labels."""
        super().__init__()
        width = encoder.config.hidden_size
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, labels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        if pooling == "attention":
            self.attention = nn.Linear(width, 1, bias=False)

    def checkpoint_gradients(self) -> None:
        """Have the encoder compute activations again on the way back instead of keeping them."""
        with warnings.catch_warnings():
            # transformers renames the method within one major version.
            warnings.simplefilter("ignore", FutureWarning)
            self.encoder.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits (batch, labels) for token ids and mask (batch, tokens)."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        pooled = self._pool(output.last_hidden_state.float(), attention_mask)
        # Not self.head(pooled): a matrix product takes another path, and rounds differently, for
        # one sentence than for many, and a sentence has one score whatever it is scored with.
        products: Tensor = self.dropout(pooled).unsqueeze(1) * self.head.weight
        return products.sum(-1) + self.head.bias

    def _pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        if self.pooling == "cls":
            return hidden[:, 0]
        weights = attention_mask.to(hidden.dtype)
        if self.pooling == "attention":
            scores = (hidden * self.attention.weight).sum(-1)
            weights = (scores + (weights - 1.0) * 1e9).softmax(-1)
        else:
            weights = weights / weights.sum(-1, keepdim=True)
        # A matrix product adds the tokens one by one, so that the zeros of padding change nothing;
        # a sum, or the product with a single row, splits them into blocks by their number.
        pooled: Tensor = weights.unsqueeze(1).expand(-1, 2, -1) @ hidden
        return pooled[:, 0]


def load_encoder(source: Source | Path, *, dropout: float | None = None) -> PreTrainedModel:
    """Load a pretrained encoder in single precision.

    `dropout` takes the place of every dropout probability that it was pretrained with. Raises
    InputError when there is no encoder to load.
    """
    if isinstance(source, Path):
        source = find_source(source)
    place = {"revision": source.revision, "local_files_only": source.local_files_only}
    verbosity = logging.get_verbosity()
    try:
        config = AutoConfig.from_pretrained(source.name, **place)
        if dropout is not None:
            config.update(dict.fromkeys(_dropouts(config), dropout))
        logging.set_verbosity_error()  # its report of weights is mostly of those we leave out
        encoder: PreTrainedModel
        encoder, report = AutoModel.from_pretrained(
            source.name,
            config=config,
            **place,
            dtype=torch.float32,
            output_loading_info=True,
            **_without_pooler(config),
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"encoder: {source.name} cannot be loaded: {str(error).splitlines()[0]}",
            "Name a folder with config, tokenizer and weights, or a hub id that can be reached.",
        ) from error
    finally:
        logging.set_verbosity(verbosity)
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"encoder: {source.name} lacks {len(missing):,} of its weights, such as {missing[0]}",
            "Name an encoder whose weights are whole.",
        )
    return encoder


def empty_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """Return an encoder of the given configuration with weights yet to be loaded."""
    encoder: PreTrainedModel = AutoModel.from_config(config, **_without_pooler(config))
    return encoder


def _dropouts(config: PretrainedConfig) -> list[str]:
    """Return the names of a configuration's dropout probabilities, which vary with architecture."""
    return [
        name
        for name, value in config.to_dict().items()
        if "drop" in name and not name.startswith("classifier") and type(value) in (int, float)
    ]


def _without_pooler(config: PretrainedConfig) -> dict[str, bool]:
    """Return what keeps an architecture's own pooler out: ours stands in its place."""
    signature = inspect.signature(MODEL_MAPPING[type(config)].__init__)
    return {"add_pooling_layer": False} if "add_pooling_layer" in signature.parameters else {}
