"""Exact repeats are scored once: wire copy recurs all over an archive."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from serving.labelling import Scorer
from serving.records import Prediction, Refusal

# Sentences that are remembered. One takes about 1 kB with its text and probabilities.
CAPACITY = 100_000
# With `--unit sentence` a text may be as long as a record: longer ones are remembered by digest.
_LONG = 1000


class CachedClassifier:
    """Answers as `classifier` does, bit for bit, from memory where a sentence has come before.

    A sentence's score never depends on its batch, so a remembered answer is the one that scoring
    it again would give. The sentences used least recently are forgotten first.
    """

    def __init__(self, classifier: Scorer, capacity: int = CAPACITY) -> None:
        """Remember up to `capacity` sentences; 0 remembers none."""
        self.classifier = classifier
        self.model = classifier.model
        self.split = classifier.split
        self.capacity = capacity
        self.sentences = 0
        self.repeats = 0
        self._answers: OrderedDict[str, Prediction | Refusal] = OrderedDict()

    def classify(self, sentences: Sequence[str]) -> list[Prediction | Refusal]:
        """Return one answer per sentence, in the order given."""
        known = self._answers
        keys = [_key(text) for text in sentences]
        missing = {key: text for key, text in zip(keys, sentences, strict=True) if key not in known}
        answered = self.classifier.classify(list(missing.values()))
        fresh = dict(zip(missing, answered, strict=True))
        self.sentences += len(sentences)
        self.repeats += len(sentences) - len(missing)
        answers = []
        for key in keys:
            answer = fresh.get(key) or known[key]
            answers.append(answer)
            known[key] = answer
            known.move_to_end(key)
        while len(known) > self.capacity:
            known.popitem(last=False)
        return answers


def _key(text: str) -> str:
    if len(text) <= _LONG:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
