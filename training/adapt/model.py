"""An encoder that guesses hidden tokens, and the batches in which they are hidden."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from training.arrays import IntArray

# Devlin et al. 2019, "BERT": 15 % of the tokens are to be guessed; of these 80 % are hidden,
# 10 % are replaced by a random token, and 10 % are left as they are.
_GUESSED, _HIDDEN, _REPLACED = 0.15, 0.8, 0.1
_NOT_GUESSED = -100


class MaskedLanguageModel(nn.Module):
    """An encoder with a head that is thrown away afterwards.

    The head is BERT's: a layer, GELU, normalisation, and a product with the encoder's embeddings,
    which may be narrower than its layers (ALBERT, ELECTRA).
    """

    def __init__(self, encoder: PreTrainedModel) -> None:
        """Put a new head on `encoder`."""
        super().__init__()
        self.encoder = encoder
        size, width = encoder.get_input_embeddings().weight.shape
        self.layer = nn.Linear(int(encoder.config.hidden_size), width)
        self.normalisation = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(size))
        nn.init.normal_(self.layer.weight, std=0.02)
        nn.init.zeros_(self.layer.bias)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Return the mean cross-entropy and the guesses (n) and tokens (n) of n hidden tokens.

        `labels` (batch, tokens) has the id of each token to guess, elsewhere -100. A batch with
        nothing to guess has loss 0.
        """
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        # Only the tokens to guess: the product with the embeddings is the dearest one.
        chosen = labels != _NOT_GUESSED
        hidden = self.normalisation(functional.gelu(self.layer(output.last_hidden_state[chosen])))
        table = self.encoder.get_input_embeddings().weight
        logits = functional.linear(hidden, table.to(hidden.dtype)) + self.bias
        total = functional.cross_entropy(logits.float(), labels[chosen], reduction="sum")
        return {
            "loss": total / chosen.sum().clamp(min=1),
            "guesses": logits.argmax(-1),
            "tokens": labels[chosen],
        }


class Masking:
    """Makes a batch of token ids and hides tokens; special tokens are never hidden."""

    def __init__(self, *, padding: int, mask: int, special: Sequence[int], size: int) -> None:
        """Set the ids of the special tokens and the size of the vocabulary."""
        self._padding, self._mask, self._size = padding, mask, size
        self._special = np.array(special)

    def __call__(self, rows: Sequence[IntArray]) -> dict[str, Tensor]:
        """Return `input_ids`, `attention_mask` and `labels`, each (batch, tokens)."""
        width = max(map(len, rows))
        ids = np.full((len(rows), width), self._padding, np.int64)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
        present = np.arange(width) < np.array([len(row) for row in rows])[:, None]
        # torch's generator: the Trainer gives each worker of the loader a seed of its own
        chance: NDArray[np.float32] = torch.rand(2, *ids.shape).numpy()
        guessed = (chance[0] < _GUESSED) & present & ~np.isin(ids, self._special)
        labels = np.where(guessed, ids, _NOT_GUESSED)
        ids = np.where(guessed & (chance[1] < _HIDDEN), self._mask, ids)
        replaced = guessed & (chance[1] >= 1 - _REPLACED)
        other = torch.randint(self._size, ids.shape).numpy()
        ids = np.where(replaced, other, ids)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(present.astype(np.int64)),
            "labels": torch.from_numpy(labels),
        }
