"""The files of an encoder: read, checked, and written with fewer or other tokens."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from serving.errors import InputError
from training.config import is_folder
from training.model.hub import fetch, find_source
from training.trim.grow import NewTokens
from training.trim.vocabulary import Vocabulary
from training.trim.weights import Weights, find_weights


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """An encoder on disk; `vocabulary` is its tokenizer as transformers loads it."""

    name: str
    folder: Path
    config: dict[str, Any]
    tokenizer: PreTrainedTokenizerBase
    vocabulary: Vocabulary
    weights: Weights

    @classmethod
    def read(cls, folder: Path, name: str) -> "EncoderFiles":
        """Read all but the weights; raise InputError for missing or inconsistent files."""
        for file in ("config.json", "tokenizer.json"):
            if not (folder / file).is_file():
                raise InputError(
                    f"encoder: {folder} holds no {file}",
                    "Load config and tokenizer with transformers and save_pretrained them there.",
                )
        try:
            config = AutoConfig.from_pretrained(folder)
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # for a broken file tokenizers raises nothing more precise
            raise InputError(
                f"encoder: {folder} cannot be loaded: {[*str(error).splitlines(), ''][0]}",
                "Name a folder with config, tokenizer and weights.",
            ) from error
        if config.is_encoder_decoder:
            raise InputError(
                f"encoder: {folder} is an encoder-decoder model ({config.model_type})",
                "Name an encoder such as BERT, XLM-R or AraBERT.",
            )
        # As in rasd train: the tokenizer that transformers makes of the file.
        vocabulary = Vocabulary(tokenizer.backend_tokenizer.to_str(), folder / "tokenizer.json")
        weights = find_weights(folder, config, pieces=max(vocabulary.pieces) + 1)
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(name, folder, raw, tokenizer, vocabulary, weights)

    def essential(self) -> set[int]:
        """Return the ids to keep for any text: the vocabulary's, and those in config.json.

        Raises InputError for an id in config.json that the vocabulary lacks.
        """
        named: set[int] = set()
        for key in self._token_ids():
            value = self.config[key]
            named.update(value if isinstance(value, list) else [value])
            if unknown := named - set(self.vocabulary.pieces):
                raise InputError(
                    f"{self.folder / 'config.json'}: {key} is {unknown.pop()}, not a token's id",
                    "Set it to null or to the id of a token in tokenizer.json.",
                )
        return self.vocabulary.essential() | named

    def save_cut(self, kept: Sequence[int], target: Path) -> None:
        """Write config, tokenizer, weights and licence with only the tokens `kept`."""
        self._save_config({old: number for number, old in enumerate(kept)}, len(kept), target)
        self.vocabulary.save_cut(kept, target / "tokenizer.json")
        self.weights.save_cut(kept, target / "model.safetensors")
        self._finish(target)

    def save_new(self, tokens: NewTokens, target: Path) -> None:
        """Write config, tokenizer, weights and licence with other tokens."""
        numbers = {token: number for number, (token, _) in enumerate(tokens.scored)}
        new = {
            old: numbers[token] for old, token in self.vocabulary.pieces.items() if token in numbers
        }
        self._save_config(new, len(numbers), target)
        self.vocabulary.save_new(tokens.scored, target / "tokenizer.json")
        self.weights.save_means(tokens.old, target / "model.safetensors")
        self._finish(target)

    def save_trained(self, encoder: PreTrainedModel, target: Path) -> None:
        """Write the encoder with new weights, in the precision of the old ones."""
        dtype = self.config.get("dtype") or self.config.get("torch_dtype") or "float32"
        encoder.to(getattr(torch, dtype)).save_pretrained(target)
        (target / "config.json").write_bytes((self.folder / "config.json").read_bytes())
        self.tokenizer.save_pretrained(target)
        shutil.copyfile(self.folder / "tokenizer.json", target / "tokenizer.json")
        self._finish(target)

    def _save_config(self, new: Mapping[int, int], size: int, target: Path) -> None:
        config = self.config | {"vocab_size": size}
        for key in self._token_ids():
            value = config[key]
            config[key] = [new[old] for old in value] if isinstance(value, list) else new[value]
        text = json.dumps(config, ensure_ascii=False, indent=2)
        (target / "config.json").write_text(text + "\n", encoding="utf-8")
        self.tokenizer.save_pretrained(target)

    def _finish(self, target: Path) -> None:
        # safetensors writes files that only their owner can read
        shutil.copymode(target / "config.json", target / "model.safetensors")
        for path in self.folder.iterdir():
            if path.name.startswith(("LICENSE", "NOTICE")) and path.is_file():
                shutil.copyfile(path, target / path.name)

    def megabytes(self) -> float:
        """Return the size of weights and tokenizer on disk."""
        files = [*self.weights.files, self.folder / "tokenizer.json"]
        return sum(file.stat().st_size for file in files) / 1e6

    def _token_ids(self) -> list[str]:
        """Return the keys of config.json that hold the id of a token, or a list of ids."""
        return [
            key
            for key, value in self.config.items()
            if key.endswith("_token_id") and value is not None
        ]


def load_encoder_files(encoder: str) -> EncoderFiles:
    """Read the encoder of a folder or hub id; raise InputError if there is none."""
    if is_folder(encoder):
        folder = Path(encoder).expanduser()
        if not folder.is_dir():
            raise InputError(
                f"encoder: no folder {encoder}", "Name a folder that exists or a hub id."
            )
        return EncoderFiles.read(folder, folder.resolve().name)
    return EncoderFiles.read(fetch(find_source(encoder)), encoder)
