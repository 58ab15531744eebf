"""Sentences to predictions: every command and service classifies through this."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from serving.bundle import Bundle, shipped_model
from serving.errors import InputError
from serving.machine import Arithmetic
from serving.onnx_model import FloatArray, OnnxModel, load_tokenizer, tokenize
from serving.records import Prediction, Refusal, Sentence
from serving.text.clauses import cut_clauses
from serving.text.normalize import NORMALIZERS
from serving.text.sentences import sentences_of

# int8 results differ slightly between CPUs with and without VNNI; the wrong graph or tokenizer
# differs far more. With the bundle's own CPU features and libraries, nothing may differ.
GOLDEN_TOLERANCE = 0.05

# Raw characters for each that is left after normalising: a letter with two marks and a tatweel.
MARKS = 4
# Texts that are tokenised together; each may be long.
TOGETHER = 64
# Sentences whose tokens are kept from counting to scoring, if they are no longer than that.
KEPT = 4096
KEPT_CHARACTERS = 1000

_EMPTY = Refusal("nothing to classify: no letter or digit is left after normalising")
_NOT_FINITE = Refusal("the model gave no finite probabilities")


class Classifier:
    """A bundle, ready to classify."""

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        """Load graph and tokenizer of a verified bundle; raise InputError if they do not load."""
        self.bundle = bundle
        self.model = bundle.manifest.model
        self._names = bundle.scheme.names
        stages = bundle.stages or (bundle,)
        self._models = [_Model(stage, threads) for stage in stages]
        self.room = min(model.room for model in self._models)  # tokens of a sentence read whole

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
        answers = self._models[0].score(sentences)
        if cascade := self.bundle.manifest.cascade:
            # Which sentences the second model is asked depends on nothing but their own scores.
            unsure = [
                index
                for index, answer in enumerate(answers)
                if not isinstance(answer, Refusal) and answer.probabilities.max() < cascade.below
            ]
            second = self._models[1].score([sentences[index] for index in unsure])
            for index, answer in zip(unsure, second, strict=True):
                answers[index] = answer
        return [
            answer if isinstance(answer, Refusal) else self._prediction(answer)
            for answer in answers
        ]

    def watch_batches(self, on_batch: Callable[[int], object]) -> None:
        """Call `on_batch` with the tokens of every micro-batch, on the thread that runs it."""
        for model in self._models:
            model.onnx.on_batch = on_batch

    def split(self, document: str) -> Iterator[Sentence]:
        """Yield the sentences of a document; what the model cannot read whole is cut into clauses.

        A clause that is still too long is a single word (`serving.text.clauses`).
        """
        return cut_clauses(sentences_of(document), self.count_tokens, self.room)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the lengths of texts as the model reads them, in tokens, special ones aside."""
        return self._models[0].count_tokens(texts)

    def _prediction(self, scores: "_Scores") -> Prediction:
        best = int(scores.probabilities.argmax())
        values = scores.probabilities.tolist()
        return Prediction(
            label=self._names[best],
            probability=values[best],
            probabilities=dict(zip(self._names, values, strict=True)),
            # What was not read may say the opposite.
            certain=values[best] >= self.bundle.manifest.threshold and not scores.truncated,
            truncated=scores.truncated,
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
        try:
            answers = self.classify([item.text for item in golden])
        except Exception as error:  # whatever ONNX Runtime raises over a graph of another form
            raise InputError(
                f"{self.bundle.folder}: does not score its golden sentences: "
                f"{' '.join(str(error).split())}",
                "Copy the bundle again, or make it again with `rasd export`.",
            ) from error
        for item, answer in zip(golden, answers, strict=True):
            found = [] if isinstance(answer, Refusal) else list(answer.probabilities.values())
            same_length = len(found) == len(item.probabilities)
            if not same_length or not np.allclose(found, item.probabilities, 0, tolerance):
                expects = "expects, bit for bit on this kind of machine," if exact else "expects"
                raise InputError(
                    f"{self.bundle.folder}: scores {item.text!r} as {found or answer}, "
                    f"the bundle {expects} {list(item.probabilities)}",
                    "Copy the bundle again, or make it again on this machine with `rasd export`.",
                )


@dataclass(frozen=True, slots=True)
class _Scores:
    """The calibrated probabilities (labels,) of one sentence."""

    probabilities: FloatArray
    truncated: bool


class _Model:
    """One graph with its normaliser, tokenizer and calibration."""

    def __init__(self, bundle: Bundle, threads: int | None) -> None:
        manifest = bundle.manifest
        self._manifest = manifest
        self._normalize = NORMALIZERS[manifest.normalizer.name].apply
        try:
            self._tokenizer = load_tokenizer(
                bundle.folder / "tokenizer.json", max_length=manifest.max_length
            )
            self.onnx = OnnxModel(
                bundle.folder / "model.onnx", padding_id=bundle.padding_id, threads=threads
            )
            special = self._tokenizer.num_special_tokens_to_add(is_pair=False)
            self.room = manifest.max_length - special
            longest = max(map(len, self._tokenizer.get_vocab(with_added_tokens=False)))
            # As many characters as the model's tokens can cover.
            self._characters = longest * manifest.max_length
            self._counted = _Counted()
        except Exception as error:  # the two libraries raise no narrower type of their own
            raise InputError(
                f"{bundle.folder}: the model does not load: {' '.join(str(error).split())}",
                "Copy the bundle again, or make it again with `rasd export`.",
            ) from error

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        read = list(self._read(texts))
        self._counted.keep(texts, read)
        return [item.length for item in read]

    def score(self, sentences: Sequence[str]) -> list[_Scores | Refusal]:
        scores: list[_Scores | Refusal] = [_EMPTY] * len(sentences)
        counted = [self._counted.get(sentence) for sentence in sentences]
        others = self._read([s for s, item in zip(sentences, counted, strict=True) if item is None])
        read = [item or next(others) for item in counted]
        kept = [index for index, item in enumerate(read) if item.readable]
        logits = self.onnx.logits([read[index].ids for index in kept])
        labels = len(self._manifest.scheme.labels)
        if kept and logits.shape[1:] != (labels,):
            raise ValueError(f"logits of the shape {logits.shape} for {labels} labels")
        probabilities = softmax(logits, self._manifest.temperature, self._manifest.power)
        finite = np.isfinite(probabilities.sum(axis=1))
        for index, row, is_finite in zip(kept, probabilities, finite, strict=True):
            scores[index] = _Scores(row, read[index].truncated) if is_finite else _NOT_FINITE
        return scores

    def _read(self, texts: Sequence[str]) -> Iterator["_Read"]:
        for start in range(0, len(texts), TOGETHER):
            normalized = [self._normalized(text) for text in texts[start : start + TOGETHER]]
            tokens = tokenize(self._tokenizer, [text for text, _ in normalized])
            for (text, cut), item in zip(normalized, tokens, strict=True):
                # What is cut is too long, whatever it counts.
                yield _Read(
                    item.ids,
                    length=max(item.length, self.room + 1) if cut else item.length,
                    truncated=item.truncated or cut,
                    readable=any(map(str.isalnum, text)),
                )

    def _normalized(self, text: str) -> tuple[str, bool]:
        """Return the normalised text as far as the model could read it, and whether that is less.

        Both cuts bound the memory: one character may normalise to 18, and the tokenizer needs
        about 500 bytes for each.
        """
        raw = text[: MARKS * self._characters]
        normalized = self._normalize(raw)
        cut = len(raw) < len(text) or len(normalized) > self._characters
        return normalized[: self._characters], cut


@dataclass(frozen=True, slots=True)
class _Read:
    """A sentence as the model reads it, normalised and tokenised.

    `length` is that of the whole sentence, in tokens without special ones; more than fit if its end
    was not tokenised. One that is not `readable` has no letter or digit.
    """

    ids: list[int]
    length: int
    truncated: bool
    readable: bool


class _Counted:
    """The last sentences that were counted: when they are scored, they need not be read again.

    A thread may count while another one scores.
    """

    def __init__(self) -> None:
        self._read: OrderedDict[str, _Read] = OrderedDict()
        self._lock = Lock()

    def keep(self, texts: Iterable[str], read: Iterable[_Read]) -> None:
        with self._lock:
            for text, item in zip(texts, read, strict=True):
                if len(text) <= KEPT_CHARACTERS:
                    self._read[text] = item
            while len(self._read) > KEPT:
                self._read.popitem(last=False)

    def get(self, text: str) -> _Read | None:
        with self._lock:
            return self._read.get(text)


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
