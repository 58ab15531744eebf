"""A vocabulary learned from the user's text, with which a text has fewer tokens.

A new token starts as the mean of the vectors of the old tokens that spell it (Gee et al. 2022,
"Fast Vocabulary Transfer for Language Model Compression").
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.trainers import UnigramTrainer

from serving.errors import InputError
from training.trim.vocabulary import Vocabulary

_UNKNOWN = "<unk>"


@dataclass(frozen=True, slots=True)
class NewTokens:
    """The tokens of a new vocabulary in the order of their ids, with their scores.

    `old` has for each token the ids of the old tokens whose mean it starts from.
    """

    scored: Sequence[tuple[str, float]]
    old: Sequence[Sequence[int]]


def learn_tokens(
    original: Vocabulary, essential: Collection[int], texts: Iterable[str], size: int
) -> NewTokens:
    """Learn `size` Unigram tokens from normalised texts; keep the old tokens `essential` too.

    Raises InputError for a vocabulary that is not Unigram, or if the text has too few words.
    """
    if original.kind != "Unigram":
        raise InputError(
            f"--grow: the encoder's tokenizer is {original.kind}",
            "Only a Unigram tokenizer (XLM-R, multilingual-e5) can get a new vocabulary.",
        )
    learned = _learn(original, texts, size)
    kept = {original.pieces[number]: number for number in sorted(essential)}
    special = original.added()
    scored = [(token, 0.0) for token in special]
    scored += [(token, score) for token, score in learned if token not in special]
    # A character that the text lacks must not cost less than any learned token.
    lowest = min(score for _, score in learned)
    known = {token for token, _ in scored}
    scored += [(token, lowest) for token in kept if token not in known]
    old = [[kept[token]] if token in special else original.spelling(token) for token, _ in scored]
    return NewTokens(scored, old)


def _learn(original: Vocabulary, texts: Iterable[str], size: int) -> list[tuple[str, float]]:
    learner = Tokenizer(Unigram())
    learner.normalizer = original.tokenizer.normalizer
    learner.pre_tokenizer = original.tokenizer.pre_tokenizer
    trainer = UnigramTrainer(
        vocab_size=size, unk_token=_UNKNOWN, special_tokens=[_UNKNOWN], show_progress=False
    )
    try:
        learner.train_from_iterator(texts, trainer)
    except InputError:  # of the text's reader
        raise
    except Exception as error:  # the library raises nothing more precise
        raise _nothing_learned(size, f" ({error})") from error
    vocabulary = json.loads(learner.to_str())["model"]["vocab"]
    learned = [(token, score) for token, score in vocabulary if token != _UNKNOWN]
    if not learned:
        raise _nothing_learned(size, "")
    return learned


def _nothing_learned(size: int, why: str) -> InputError:
    return InputError(
        f"--grow {size}: no vocabulary can be learned from this text{why}",
        "Name more text, or ask for another number of tokens.",
    )
