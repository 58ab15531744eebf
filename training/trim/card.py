"""The card of a changed encoder: README.md with its licence, its base and what was done."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import metadata_load

from training.trim.encoder_files import EncoderFiles


def trimmed_card(original: EncoderFiles, lines: int, normalizer: str) -> str:
    """Return the card of an encoder with fewer tokens, after `lines` lines of text."""
    pieces = len(original.vocabulary.pieces)
    return f"""\
# {original.name}, trimmed
Made by `rasd trim` from `{original.name}`. Of its {pieces:,} tokens this encoder keeps

- those that {lines:,} lines of text use after the normaliser `{normalizer}`,
- the special and added tokens,
- the single characters of Arabic, Latin, digits and punctuation, to spell other words.

Everything else is unchanged.
"""


def grown_card(original: EncoderFiles, lines: int, normalizer: str) -> str:
    """Return the card of an encoder with tokens learned from `lines` lines of text."""
    return f"""\
# {original.name}, with new tokens
Made by `rasd trim --grow` from `{original.name}`. Its tokens were learned from {lines:,} lines
of text after the normaliser `{normalizer}`; each starts as the mean of the old tokens that
spell it. Special tokens and single characters are kept. All other weights are unchanged, so
run `rasd adapt` on it before use.
"""


def write_card(folder: Path, original: EncoderFiles, card: str, report: str) -> None:
    """Write README.md in the Hugging Face form, with licence and base model of `original`.

    `card` says what was done to the encoder, `report` is what the command prints.
    """
    metadata: dict[str, Any] = {}
    with suppress(Exception):  # a missing or broken card is no reason to stop
        metadata = metadata_load(original.folder / "README.md") or {}
    licence = metadata.get("license")
    base = original.name if "/" in original.name else metadata.get("base_model")
    header = {"license": licence, "base_model": base}
    lines = [f"{key}: {json.dumps(value)}" for key, value in header.items() if value]
    text = f"""\
{card}
```
{report}
```

The licence of `{original.name}`{f" ({licence})" if licence else ""} still applies.
"""
    front = ["---", *lines, "---", ""] if lines else []
    (folder / "README.md").write_text("\n".join(front) + text, encoding="utf-8")
