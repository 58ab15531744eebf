"""New labels and base data to the sentences that a retraining learns, holds out and tests with."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.atomic import atomic_folder
from serving.errors import InputError
from serving.labels import LabelScheme
from serving.terminal import counted
from training.config import FIXED_SEED
from training.labelled.reading import LabelledData, Normalize, read_labelled
from training.labelled.sentence import LabelledSentence
from training.labelled.splits import drop_leaks, leak_key, position
from training.retrain.config import Recipe, RetrainConfig

# The files of what is learned, and of what is held out of it.
NEW, REPLAYED, DEV = "new.jsonl", "replayed.jsonl", "dev.jsonl"

_REPLAY_SEED = FIXED_SEED + 1
_SIDES: dict[str, Literal["train", "dev", "test"]] = {
    "train": "train",
    "dev": "dev",
    "validation": "dev",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the sentences.

    `new` were labelled for this retraining: `learned` are trained on, `new_held_out` and `new_test`
    are not. `replayed` are trained on again. `replaced` base sentences have a new label. `leaks`
    were left out of training because a near-identical sentence is in the test.
    """

    new: int
    learned: int
    new_test: int
    replayed: int
    replaced: int
    leaks: int
    new_held_out: int


@dataclass(frozen=True, slots=True)
class Merged:
    """The three sides. `train` and `test` begin with the new sentences; `counts` says how many."""

    train: list[LabelledSentence]
    dev: list[LabelledSentence]
    test: list[LabelledSentence]
    counts: Counts
    warnings: list[str]

    def digest(self) -> str:
        """Return the SHA-256 of all sentences, their sides, labels and weights."""
        return hashlib.sha256("\f".join(map(_lines, self._files().values())).encode()).hexdigest()

    def write(self, folder: Path, scheme: LabelScheme) -> None:
        """Write NEW, REPLAYED, DEV, `test.jsonl` and `labels.yaml`, or nothing."""
        with atomic_folder(folder) as new:
            for name, sentences in self._files().items():
                (new / name).write_text(_lines(sentences), encoding="utf-8")
            # JSON is YAML too.
            labels = json.dumps(scheme.model_dump(mode="json"), ensure_ascii=False, indent=1)
            (new / "labels.yaml").write_text(labels + "\n", encoding="utf-8")

    def _files(self) -> dict[str, list[LabelledSentence]]:
        learned = self.counts.learned
        return {
            NEW: self.train[:learned],
            REPLAYED: self.train[learned:],
            DEV: self.dev,
            "test.jsonl": self.test,
        }


def merge(
    new: LabelledData,
    config: RetrainConfig,
    recipe: Recipe,
    scheme: LabelScheme,
    normalize: Normalize,
) -> Merged:
    """Share out the new sentences and those of the base.

    A hash of its text decides a sentence's side, so it is the same in every retraining; a `split`
    in the file comes first. A new label replaces that of the same base sentence. What is
    near-identical to a test sentence is neither trained on nor held out. Raises InputError with
    the problems of the base, and if there is nothing new to learn or nothing to test with.
    """
    base = read_labelled(config.base, scheme, normalize, "first")
    tests = read_labelled(config.test, scheme, normalize, "first")
    devs = read_labelled(config.dev, scheme, normalize, "first")

    relabelled = {leak_key(sentence.text, normalize) for sentence in new.sentences}
    kept = [s for s in base.sentences if leak_key(s.text, normalize) not in relabelled]
    fresh = _Sides(config, new.sentences, normalize, test=True)
    old = _Sides(config, kept, normalize, test=not config.test)
    replay = [
        sentence
        for sentence in old.train
        if position(leak_key(sentence.text, normalize), _REPLAY_SEED) < recipe.replay
    ]
    # A frozen test file says what a sentence's label is there, once.
    asked, known = drop_leaks(fresh.test, tests.sentences, normalize)
    test = [*asked, *old.test, *tests.sentences]
    held_out, _ = drop_leaks(fresh.dev, test, normalize)
    others, _ = drop_leaks([*old.dev, *devs.sentences], test, normalize)
    dev = [*held_out, *others]
    learned, leaks = drop_leaks(fresh.train, [*test, *dev], normalize)
    replayed, more = drop_leaks(replay, [*test, *dev], normalize)
    if not learned:
        raise InputError(
            f"of {counted(len(new.sentences), 'new sentence')}, none is left to learn from",
            "Add labelled sentences, or say `train` in their field `split`.",
        )
    if not test:
        raise InputError("no sentence is in the test", "Name a labelled file in `test`.")
    counts = Counts(
        new=len(new.sentences),
        learned=len(learned),
        new_test=len(asked),
        replayed=len(replayed),
        replaced=len(base.sentences) - len(kept),
        leaks=leaks + more + known,
        new_held_out=len(held_out),
    )
    return Merged([*learned, *replayed], dev, test, counts, new.warnings)


class _Sides:
    """Sentences by side; without `test`, none of them is drawn for it."""

    def __init__(
        self,
        config: RetrainConfig,
        sentences: Iterable[LabelledSentence],
        normalize: Normalize,
        *,
        test: bool,
    ) -> None:
        fraction = config.test_fraction
        self.train: list[LabelledSentence] = []
        self.dev: list[LabelledSentence] = []
        self.test: list[LabelledSentence] = []
        for sentence in sentences:
            drawn = position(leak_key(sentence.text, normalize), FIXED_SEED)
            if sentence.split:
                side = _SIDES[sentence.split]
            elif test and drawn < fraction:
                side = "test"
            elif not config.dev and fraction <= drawn < 2 * fraction:
                side = "dev"
            else:
                side = "train"
            getattr(self, side).append(sentence)


def _lines(sentences: Iterable[LabelledSentence]) -> str:
    return "".join(json.dumps(_row(s), ensure_ascii=False) + "\n" for s in sentences)


def _row(sentence: LabelledSentence) -> dict[str, str | bool]:
    fields = ("text", "label", "id", "source", "date", "second")
    given = {name: value for name in fields if (value := getattr(sentence, name)) is not None}
    return given if sentence.sure else given | {"sure": False}
