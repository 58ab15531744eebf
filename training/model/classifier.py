"""The classifier that is fine-tuned: an encoder, mean pooling and one linear layer."""

import inspect
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from serving.errors import InputError
from training.model.hub import Source, find_source


class SentenceClassifier(nn.Module):
    """Maps the mean of an encoder's token vectors to logits."""

    def __init__(self, encoder: PreTrainedModel, *, labels: int, dropout: float) -> None:
        """Put a new head for `labels` labels on `encoder`."""
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, labels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def checkpoint_gradients(self) -> None:
        """Recompute the encoder's activations in the backward pass instead of storing them."""
        with warnings.catch_warnings():
            # transformers renames the method within one major version.
            warnings.simplefilter("ignore", FutureWarning)
            self.encoder.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits (batch, labels) for token ids and mask (batch, tokens)."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        pooled = self.pool(output.last_hidden_state.float(), attention_mask)
        # Not self.head(pooled): a matrix product rounds differently for one sentence than for a
        # batch, and a sentence must have the same score in any batch.
        products: Tensor = self.dropout(pooled).unsqueeze(1) * self.head.weight
        return products.sum(-1) + self.head.bias

    def pool(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the mean (batch, width) of the token vectors that are not padding."""
        weights = attention_mask.to(hidden.dtype)
        weights = weights / weights.sum(-1, keepdim=True)
        # A product of two matrices adds the tokens one by one, so the zeros of padding change
        # nothing; a sum, or a product with one row, adds blocks whose size depends on the count.
        pooled: Tensor = weights.unsqueeze(1).expand(-1, 2, -1) @ hidden
        return pooled[:, 0]


def _attention() -> str:
    """Return the attention that trains fastest: on a CPU not PyTorch's fused one.

    Its backward pass in bfloat16 took 43 % of a step (`benchmarks/attention.py` compares the two).
    """
    return "sdpa" if torch.cuda.is_available() else "eager"


def load_encoder(source: Source | Path, *, dropout: float | None = None) -> PreTrainedModel:
    """Load a pretrained encoder in single precision.

    `dropout` replaces all its dropout probabilities. Raises InputError if it cannot be loaded.
    """
    if isinstance(source, Path):
        source = find_source(source)
    place = {"revision": source.revision, "local_files_only": source.local_files_only}
    verbosity = logging.get_verbosity()
    try:
        config = AutoConfig.from_pretrained(source.name, **place)
        if config.is_encoder_decoder:
            raise InputError(
                f"encoder: {source.name} is an encoder-decoder model ({config.model_type})",
                "Name an encoder such as BERT, XLM-R or AraBERT.",
            )
        if dropout is not None:
            config.update(dict.fromkeys(_dropouts(config), dropout))
        logging.set_verbosity_error()  # it warns of the weights that we leave out
        encoder: PreTrainedModel
        encoder, report = AutoModel.from_pretrained(
            source.name,
            config=config,
            **place,
            dtype=torch.float32,
            attn_implementation=_attention(),
            output_loading_info=True,
            **_without_pooler(config),
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise _not_loaded(source, error) from error
    finally:
        logging.set_verbosity(verbosity)
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"encoder: {source.name} lacks {len(missing):,} of its weights, such as {missing[0]}",
            "Name an encoder with all its weights.",
        )
    return encoder


def load_encoder_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    """Load the tokenizer of an encoder.

    Raises InputError for a broken or slow one, or one without a padding token.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.name, revision=source.revision, local_files_only=source.local_files_only
        )
    except Exception as error:  # for a broken file tokenizers raises nothing more precise
        raise _not_loaded(source, error) from error
    if not tokenizer.is_fast:
        raise InputError(
            f"encoder: {source.name} has only a slow (Python) tokenizer",
            "Use an encoder with a tokenizer.json.",
        )
    if tokenizer.pad_token_id is None:
        raise InputError(
            f"encoder: the tokenizer of {source.name} has no padding token",
            "Name an encoder such as BERT, XLM-R or AraBERT, or set pad_token in its "
            "tokenizer_config.json.",
        )
    return tokenizer


def longest_input(encoder: PreTrainedModel, limit: int) -> int:
    """Return how many tokens `encoder` can read, at most `limit`.

    BERT's first token has position 0. In RoBERTa and its relatives (XLM-R, MPNet) it has the one
    after the padding's, mostly 2: see `create_position_ids_from_input_ids` in transformers. Only
    their table of positions has a row for padding.
    """
    sizes = [limit, getattr(encoder.config, "max_position_embeddings", None) or limit]
    for name, table in encoder.named_modules():
        if name.endswith("position_embeddings") and isinstance(table, nn.Embedding):
            first = 0 if table.padding_idx is None else table.padding_idx + 1
            sizes.append(table.num_embeddings - first)
    return min(size for size in sizes if size > 0)  # XLNet, which has no limit, says -1


def freeze_layers(encoder: PreTrainedModel, count: int) -> None:
    """Keep the embeddings and the `count` lowest layers as they are: each step costs less.

    Raises InputError for an encoder with fewer layers, or without one list of them.
    """
    depth = int(encoder.config.num_hidden_layers)
    lists = [
        child
        for child in encoder.modules()
        if isinstance(child, nn.ModuleList) and len(child) == depth
    ]
    if count > depth:
        raise InputError(
            f"optimisation.frozen_layers: {count} of {depth} layers",
            "Freeze no more layers than the encoder has, or 0.",
        )
    if not lists or not hasattr(encoder, "embeddings"):
        raise InputError(
            f"optimisation.frozen_layers: {type(encoder).__name__} does not keep its layers in "
            "one list, or its embeddings in one place",
            "Set it to 0, or use another encoder.",
        )
    for part in (encoder.embeddings, *lists[0][:count]):
        part.requires_grad_(requires_grad=False)


def empty_encoder(config: PretrainedConfig) -> PreTrainedModel:
    """Return an encoder of the given configuration with random weights."""
    encoder: PreTrainedModel = AutoModel.from_config(config, **_without_pooler(config))
    return encoder


def _not_loaded(source: Source, error: Exception) -> InputError:
    why = (str(error) or type(error).__name__).splitlines()[0]
    return InputError(
        f"encoder: {source.name} cannot be loaded: {why}",
        "Name a folder with config, tokenizer and weights, or a hub id that can be reached.",
    )


def _dropouts(config: PretrainedConfig) -> list[str]:
    """Return the names of the dropout probabilities, which differ between architectures."""
    return [
        name
        for name, value in config.to_dict().items()
        if "drop" in name and not name.startswith("classifier") and type(value) in (int, float)
    ]


def _without_pooler(config: PretrainedConfig) -> dict[str, bool]:
    """Return the option that leaves out the architecture's own pooler, where it has one."""
    signature = inspect.signature(MODEL_MAPPING[type(config)].__init__)
    return {"add_pooling_layer": False} if "add_pooling_layer" in signature.parameters else {}
