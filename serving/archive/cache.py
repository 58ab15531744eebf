"""Exact repeats are scored once: wire copy recurs all over an archive."""

from collections import OrderedDict
from collections.abc import Sequence

from serving.labelling import Scorer
from serving.records import Prediction, Refusal

# Sentences that are remembered. One takes about 1 kB with its text and probabilities.
CAPACITY = 100_000


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
        missing = list(dict.fromkeys(text for text in sentences if text not in known))
        fresh = dict(zip(missing, self.classifier.classify(missing), strict=True))
        self.sentences += len(sentences)
        self.repeats += len(sentences) - len(missing)
        answers = []
        for text in sentences:
            answer = fresh.get(text) or known[text]
            answers.append(answer)
            known[text] = answer
            known.move_to_end(text)
        while len(known) > self.capacity:
            known.popitem(last=False)
        return answers
