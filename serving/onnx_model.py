"""Normalised text to logits: one tokenizer and one ONNX Runtime session."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from serving.machine import available_cores

FloatArray = NDArray[np.float32]

# The most tokens in a micro-batch, padding included. More tokens make a core no faster, need more
# padding, and leave cores idle when there are few sentences.
TOKENS_PER_BATCH = 256


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The token ids of a sentence; `truncated` if its end did not fit.

    `length` is that of the whole sentence, special tokens aside.
    """

    ids: list[int]
    truncated: bool
    length: int


def load_tokenizer(path: Path, *, max_length: int) -> Tokenizer:
    """Load `tokenizer.json` with truncation at `max_length` tokens and without padding."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(max_length)
    tokenizer.no_padding()
    return tokenizer


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[TokenIds]:
    """Return the token ids of normalised texts, special tokens included."""
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    return [
        TokenIds(
            encoding.ids,
            truncated=bool(rest := encoding.overflowing),
            length=sum(len(part) - special for part in (encoding, *rest)),
        )
        for encoding in tokenizer.encode_batch_fast(list(texts))
    ]


class OnnxModel:
    """A sentence classifier in ONNX form: token ids in, logits out.

    Each micro-batch runs on one thread, and the threads run in parallel. Splitting an operator
    across threads would halve the speed of short batches, because the cores wait for each other.
    """

    def __init__(self, path: Path, *, padding_id: int, threads: int | None = None) -> None:
        """Load the graph at `path` for `threads` threads (default: the cores available)."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._padding_id = padding_id
        self._pool = ThreadPoolExecutor(threads or available_cores(), "onnx")
        # Called with the tokens of every micro-batch, padding included, on the thread that runs it.
        self.on_batch: Callable[[int], object] | None = None

    def logits(self, sentences: Sequence[Sequence[int]]) -> FloatArray:
        """Return logits (sentences, labels) in input order."""
        if not sentences:
            return np.zeros((0, self._session.get_outputs()[0].shape[-1]), np.float32)
        batches = list(micro_batches([len(ids) for ids in sentences], TOKENS_PER_BATCH))
        batches.reverse()  # longest first, so that all threads finish at about the same time
        parts = self._pool.map(self._run, [[sentences[i] for i in batch] for batch in batches])
        scattered = np.concatenate(list(parts))
        logits = np.empty_like(scattered)
        logits[[index for batch in batches for index in batch]] = scattered
        return logits

    def _run(self, batch: Sequence[Sequence[int]]) -> FloatArray:
        width = max(map(len, batch))
        ids = np.full((len(batch), width), self._padding_id, np.int64)
        mask = np.zeros((len(batch), width), np.int64)
        for row, sentence in enumerate(batch):
            ids[row, : len(sentence)] = sentence
            mask[row, : len(sentence)] = 1
        if self.on_batch:
            self.on_batch(ids.size)
        result: FloatArray = self._session.run(
            ["logits"], {"input_ids": ids, "attention_mask": mask}
        )[0]
        return result


def micro_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield batches of indices: sentences of similar length, at most `budget` tokens.

    A sentence longer than the budget is a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted by length: the new sentence is the longest and sets the width of the whole batch.
        if batch and (len(batch) + 1) * lengths[index] > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
