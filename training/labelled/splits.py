"""Which sentences are trained on and which are held out, with no text on both sides."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.errors import InputError
from serving.labels import LabelScheme
from serving.terminal import counted
from training.config import FIXED_SEED, TrainConfig
from training.labelled.fields import FieldNames
from training.labelled.reading import Normalize, read_labelled
from training.labelled.sentence import LabelledSentence

_NUMBER = re.compile(r"\d+(?:[.,٫٬]\d+)*")
_SIGNS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Split:
    """The two sides of labelled sentences, and how many training sentences leaks have cost.

    `test` has the sentences that are on neither side, because their file says so.
    """

    train: list[LabelledSentence]
    dev: list[LabelledSentence]
    test: list[LabelledSentence]
    leaks: int


@dataclass(frozen=True, slots=True)
class Sides:
    """What a configuration trains on and holds out, and the warnings about it.

    `test` has the sentences of its files that are marked so, which it does not use.
    """

    train: list[LabelledSentence]
    dev: list[LabelledSentence]
    test: list[LabelledSentence]
    warnings: list[str]


def read_sides(config: TrainConfig, scheme: LabelScheme, normalize: Normalize) -> Sides:
    """Read the labelled files of a configuration and split them.

    With `data.dev` nothing is held out of the training files. Raises InputError when the files
    have problems, nothing is held out or a label has nothing to learn it from.
    """
    data = config.data
    names = FieldNames(data.text_field, data.label_field)
    read = read_labelled(data.train, scheme, normalize, data.conflicts, names)
    fraction = 0.0 if data.dev else data.dev_fraction
    split = split_by_text(read.sentences, normalize, fraction, FIXED_SEED)
    named = read_labelled(data.dev, scheme, normalize, data.conflicts, names)
    dev = [*split.dev, *named.sentences]
    train, leaks = drop_leaks(split.train, named.sentences, normalize)
    if not dev:
        sentences = counted(len(read.sentences), "sentence")
        raise InputError(
            f"{_names(data.train)}: of {sentences}, none is held out",
            "Name a labelled file in data.dev or raise data.dev_fraction.",
        )
    warnings = [*read.warnings, *named.warnings]
    if leaks + split.leaks:
        warnings.append(
            f"{_names(data.train)}: left out {counted(leaks + split.leaks, 'training sentence')} "
            "near-identical to held-out ones"
        )
    for name in scheme.names:
        if all(sentence.label != name for sentence in train):
            remedy = "Add some, or take the label out of the label scheme."
            if any(sentence.label == name for sentence in split.train):
                remedy = f"All that there were are held out too, in {_names(data.dev)}."
            raise InputError(f"{_names(data.train)}: no sentence to learn {name} from", remedy)
        if all(sentence.label != name for sentence in dev):
            where = _names(data.dev or data.train)
            warnings.append(f"{where}: no {name} is held out, so nothing is measured of it")
    return Sides(train, dev, split.test, warnings)


def leak_key(text: str, normalize: Normalize) -> str:
    """Return what near-identical texts share.

    Beyond `normalize`, every number becomes 0, letters lose their marks and case, and signs
    become spaces: a story's second telling often differs in nothing but its death toll.
    """
    bare = "".join(c for c in normalize(text) if not unicodedata.combining(c))
    return _SIGNS.sub(" ", _NUMBER.sub("0", bare)).strip().casefold()


def split_by_text(
    sentences: Sequence[LabelledSentence], normalize: Normalize, fraction: float, seed: int
) -> Split:
    """Hold out about `fraction` (0 to 1) of the sentences, near-identical ones together.

    The side depends only on a hash of the text's key and the seed. So a sentence stays on its
    side however many others come or go, and the figures of two models, one trained on more data,
    can be compared; a shuffle or an exact stratification would move sentences over. In return, the
    labels' shares on both sides agree only approximately.

    A `split` in the file itself is kept, but a training sentence is left out when a near-identical
    one is held out.
    """
    held_out = {"dev", "validation"}
    train, dev, test = [], [], []
    for sentence in sentences:
        drawn = position(leak_key(sentence.text, normalize), seed) < fraction
        if sentence.split == "test":
            test.append(sentence)
        elif sentence.split in held_out or (sentence.split is None and drawn):
            dev.append(sentence)
        else:
            train.append(sentence)
    kept, leaks = drop_leaks(train, [*dev, *test], normalize)
    return Split(kept, dev, test, leaks)


def drop_leaks(
    train: Iterable[LabelledSentence], dev: Iterable[LabelledSentence], normalize: Normalize
) -> tuple[list[LabelledSentence], int]:
    """Return the training sentences without a near-identical one in `dev`, and how many had one."""
    held_out = {leak_key(sentence.text, normalize) for sentence in dev}
    train = list(train)
    kept = [s for s in train if leak_key(s.text, normalize) not in held_out]
    return kept, len(train) - len(kept)


def position(key: str, seed: int) -> float:
    """Return a number from 0 to below 1 that depends only on its arguments, to draw shares with."""
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
