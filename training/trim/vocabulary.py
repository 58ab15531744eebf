"""The vocabulary of a `tokenizer.json`, and the same tokenizer with fewer or other tokens."""

import copy
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from serving.errors import InputError

# SentencePiece's character for a space.
_SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


class Vocabulary:
    """The tokens of a WordPiece or Unigram tokenizer by their ids, with the added ones."""

    def __init__(self, text: str, name: object) -> None:
        """Parse a `tokenizer.json`; raise InputError, with the file's `name`, for other models.

        Truncation and padding are switched off.
        """
        self._spec = json.loads(text)
        self._model = self._spec["model"]
        kind = self._model.get("type")
        if kind not in ("WordPiece", "Unigram"):
            raise InputError(
                f"{name}: its model is {kind or 'not named'}",
                "Name an encoder whose tokenizer is WordPiece (BERT, AraBERT) or Unigram "
                "(XLM-R, multilingual-e5).",
            )
        self.tokenizer: Tokenizer = Tokenizer.from_str(text)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.pieces = _pieces(self._model["vocab"]) | {
            token["id"]: token["content"] for token in self._spec["added_tokens"]
        }

    @property
    def kind(self) -> str:
        """The kind of tokenizer: WordPiece or Unigram."""
        return str(self._model["type"])

    def added(self) -> list[str]:
        """Return the special and added tokens in the order of their ids."""
        tokens = sorted(self._spec["added_tokens"], key=lambda token: token["id"])
        return [token["content"] for token in tokens]

    def spelling(self, text: str) -> list[int]:
        """Return the ids of the tokens of `text`, which is neither normalised nor split."""
        return [token.id for token in self.tokenizer.model.tokenize(text)]

    def essential(self) -> set[int]:
        """Return the ids that unseen text may need.

        Special and added tokens, bytes, and the single characters of Arabic, Latin, digits,
        punctuation, currency and mathematics, at the start of a word and inside it.
        """
        ids = {token["id"] for token in self._spec["added_tokens"]}
        ids |= _template_ids(self._spec["post_processor"] or {})
        prefix = self._model.get("continuing_subword_prefix", "")
        ids |= {
            number
            for number, piece in self.pieces.items()
            if _spells(piece.removeprefix(prefix)) or _BYTE.fullmatch(piece)
        }
        if self._model["type"] == "WordPiece":
            return ids | {self._unknown}
        # The cost of an unknown character depends on the lowest score, so that token stays.
        scores = [score for _, score in self._model["vocab"]]
        ids.add(scores.index(min(scores)))
        return ids if self._model["unk_id"] is None else ids | {self._model["unk_id"]}

    def used_by(self, texts: Sequence[str]) -> tuple[set[int], list[int]]:
        """Return the ids that these texts need for the same tokens, and their token counts.

        A Unigram tokenizer takes the best path through a word, which stays the best when unused
        tokens are removed. WordPiece repeatedly takes the longest token that fits, and if none
        does, the whole word is unknown. There the tokens taken before must stay too: without them
        shorter ones could succeed.
        """
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        ids: set[int] = set()
        for text, encoding in zip(texts, encodings, strict=True):
            ids.update(encoding.ids)
            if self._model["type"] == "WordPiece" and self._unknown in encoding.ids:
                ids |= self._dead_ends(text)
        return ids, [len(encoding.ids) for encoding in encodings]

    def save_cut(self, kept: Sequence[int], path: Path) -> None:
        """Write `tokenizer.json` with only the tokens `kept`, numbered in that order from 0."""
        new = {old: number for number, old in enumerate(kept)}
        spec = copy.deepcopy(self._spec)
        model = spec["model"]
        if isinstance(model["vocab"], dict):
            model["vocab"] = {
                piece: new[old] for piece, old in model["vocab"].items() if old in new
            }
        else:
            model["vocab"] = [entry for old, entry in enumerate(model["vocab"]) if old in new]
            model["unk_id"] = new.get(model["unk_id"])
        _save(spec, new, path)

    def save_new(self, scored: Sequence[tuple[str, float]], path: Path) -> None:
        """Write `tokenizer.json` with these Unigram tokens and scores, numbered from 0."""
        numbers = {token: number for number, (token, _) in enumerate(scored)}
        new = {old: numbers[token] for old, token in self.pieces.items() if token in numbers}
        spec = copy.deepcopy(self._spec)
        spec["model"]["vocab"] = [list(entry) for entry in scored]
        spec["model"]["unk_id"] = new.get(spec["model"]["unk_id"])
        _save(spec, new, path)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {piece: number for number, piece in self.pieces.items()}

    @cached_property
    def _unknown(self) -> int:
        return self._ids[self._model["unk_token"]]

    def _dead_ends(self, text: str) -> set[int]:
        """Return the ids of the tokens that WordPiece takes of every word before it fails."""
        if self.tokenizer.normalizer:
            text = self.tokenizer.normalizer.normalize_str(text)
        words = [text]
        if self.tokenizer.pre_tokenizer:
            words = [word for word, _ in self.tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        return {number for word in words for number in self._longest_matches(word)}

    def _longest_matches(self, word: str) -> Iterable[int]:
        if len(word) > self._model["max_input_chars_per_word"]:
            return
        start, prefix = 0, ""
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._ids.get(prefix + word[start:end])
                if number is not None:
                    break
            else:
                return
            yield number
            start, prefix = end, self._model["continuing_subword_prefix"]


def _save(spec: dict[str, Any], new: Mapping[int, int], path: Path) -> None:
    """Write `spec`, whose special tokens have new numbers."""
    for token in spec["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber(spec["post_processor"] or {}, new)
    if spec["padding"]:
        spec["padding"]["pad_id"] = new[spec["padding"]["pad_id"]]
    Tokenizer.from_str(json.dumps(spec)).save(str(path))


def _pieces(vocab: dict[str, int] | list[list[Any]]) -> dict[int, str]:
    if isinstance(vocab, dict):
        return {number: piece for piece, number in vocab.items()}
    return {number: piece for number, (piece, _) in enumerate(vocab)}


def _spells(character: str) -> bool:
    """Tell whether this is one character that can occur in Arabic news."""
    if len(character) != 1:
        return False
    category = unicodedata.category(character)
    return (
        character == _SPACE
        or character.isascii()
        or category in ("Nd", "Sc", "Sm")
        or category.startswith("P")
        or unicodedata.name(character, "").startswith(("ARABIC ", "LATIN "))
    )


def _template_ids(processor: dict[str, Any]) -> set[int]:
    """Return the ids that a post-processor adds around a sentence."""
    ids = {number for inner in processor.get("processors", ()) for number in _template_ids(inner)}
    for token in _templated(processor):
        ids.update(token["ids"])
    return ids | {processor[end][1] for end in ("cls", "sep") if end in processor}


def _renumber(processor: dict[str, Any], new: Mapping[int, int]) -> None:
    for inner in processor.get("processors", ()):
        _renumber(inner, new)
    for token in _templated(processor):
        token["ids"] = [new[number] for number in token["ids"]]
    for end in ("cls", "sep"):
        if end in processor:
            processor[end][1] = new[processor[end][1]]


def _templated(processor: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Return the special tokens of TemplateProcessing; BertProcessing and the like have none."""
    tokens: dict[str, dict[str, Any]] = processor.get("special_tokens", {})
    return tokens.values()
