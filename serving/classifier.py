"""Sentences to predictions: every command and service classifies through this."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from serving.bundle import Bundle, shipped_model
from serving.errors import InputError
from serving.machine import Arithmetic
from serving.onnx_model import FloatArray, OnnxModel, count_tokens, load_tokenizer, tokenize
from serving.records import Prediction, Refusal, Sentence
from serving.text.clauses import cut_clauses
from serving.text.normalize import NORMALIZERS
from serving.text.sentences import split_sentences

# int8 results differ slightly between CPUs with and without VNNI; the wrong graph or tokenizer
# differs far more. With the bundle's own CPU features and libraries, nothing may differ.
GOLDEN_TOLERANCE = 0.05

_EMPTY = Refusal("nothing to classify: no letter or digit is left after normalising")
_NOT_FINITE = Refusal("the model gave no finite probabilities")


class Classifier:
    """A bundle, ready to classify."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        """Load graph and tokenizer of a verified bundle; raise InputError if they do not load."""
        manifest = bundle.manifest
        self.bundle = bundle
        self.model = manifest.model
        self._names = bundle.scheme.names
        self._normalize = NORMALIZERS[manifest.normalizer.name].apply
        try:
            self._tokenizer = load_tokenizer(
                bundle.folder / "tokenizer.json", max_length=manifest.max_length
            )
            self.onnx = OnnxModel(
                bundle.folder / "model.onnx", padding_id=bundle.padding_id, threads=threads
            )
            special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
            self.room = manifest.max_length - special  # tokens of a sentence that is read whole
        except Exception as error:  # the two libraries raise no narrower type of their own
            raise InputError(
                f"{bundle.folder}: the model does not load: {' '.join(str(error).split())}",
                "Copy the bundle again, or make it again with `rasd export`.",
            ) from error

    @classmethod
    def load(cls, model: Path | str | None = None, *, threads: int | None = None) -> "Classifier":
        """Load and verify the bundle in folder `model`, or an included model by its name.

        `threads` is the number of cores to use (default: those available to the process).
        Raises InputError if the bundle is damaged or scores its golden sentences differently.
        """
        classifier = cls(Bundle.load(model or shipped_model()), threads=threads)
        classifier._verify_golden()
        return classifier

    def classify(self, sentences: Sequence[str]) -> list[Prediction | Refusal]:
        """Return one answer per sentence, in input order.

        A sentence without a letter or digit gets a Refusal; the others are answered.
        Raises TypeError for a single string.
        """
        if isinstance(sentences, str):
            raise TypeError("classify takes a list of sentences; this is one string")
        answers: list[Prediction | Refusal] = [_EMPTY] * len(sentences)
        normalized = [self._normalize(sentence) for sentence in sentences]
        kept = [i for i, text in enumerate(normalized) if any(map(str.isalnum, text))]
        tokens = tokenize(self._tokenizer, [normalized[i] for i in kept])
        logits = self.onnx.logits([item.ids for item in tokens])
        manifest = self.bundle.manifest
        probabilities = softmax(logits, manifest.temperature, manifest.power)
        for index, item, row in zip(kept, tokens, probabilities, strict=True):
            if np.isfinite(row).all():
                answers[index] = self._prediction(row, truncated=item.truncated)
            else:
                answers[index] = _NOT_FINITE
        return answers

    def split(self, document: str) -> list[Sentence]:
        """Return the sentences of a document; what the model cannot read whole is cut into clauses.

        A clause that is still too long is a single word (`serving.text.clauses`).
        """
        return cut_clauses(split_sentences(document), self.count_tokens, self.room)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the lengths of texts as the model reads them, in tokens, special ones aside."""
        return count_tokens(self._tokenizer, [self._normalize(text) for text in texts])

    def _prediction(self, probabilities: FloatArray, *, truncated: bool) -> Prediction:
        best = int(probabilities.argmax())
        values = [float(value) for value in probabilities]
        return Prediction(
            label=self._names[best],
            probability=values[best],
            probabilities=dict(zip(self._names, values, strict=True)),
            # What was not read may say the opposite.
            certain=values[best] >= self.bundle.manifest.threshold and not truncated,
            truncated=truncated,
        )

    def _verify_golden(self) -> None:
        """Compare with the bundle's golden predictions: exactly on their CPU, else nearly."""
        manifest = self.bundle.manifest
        golden = manifest.golden_predictions
        if not golden:
            raise InputError(
                f"{self.bundle.folder}: has no golden predictions to be tried with",
                "Make the bundle again with `rasd export`.",
            )
        exact = Arithmetic.here().same_as(manifest.golden_arithmetic)
        tolerance = 0.0 if exact else GOLDEN_TOLERANCE
        for item, answer in zip(golden, self.classify([g.text for g in golden]), strict=True):
            found = [] if isinstance(answer, Refusal) else list(answer.probabilities.values())
            same_length = len(found) == len(item.probabilities)
            if not same_length or not np.allclose(found, item.probabilities, 0, tolerance):
                expects = "expects, bit for bit on this kind of machine," if exact else "expects"
                raise InputError(
                    f"{self.bundle.folder}: scores {item.text!r} as {found or answer}, "
                    f"the bundle {expects} {list(item.probabilities)}",
                    "Copy the bundle again, or make it again on this machine with `rasd export`.",
                )


def softmax(logits: FloatArray, temperature: float, power: float = 1.0) -> FloatArray:
    """Return calibrated probabilities (n, labels) of logits (n, labels).

    With gap = max(logits) - logit, a probability is proportional to
    exp(-(gap / temperature) ** power). Power 1 is softmax with a temperature. A higher power is
    less confident where labels are close and more confident where one leads. The order of the
    labels never changes.
    """
    gaps = (logits.max(axis=1, keepdims=True) - logits) / np.float32(temperature)
    weights = np.exp(-(gaps ** np.float32(power)))
    probabilities: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return probabilities
