"""Remove unused tokens from an encoder, or learn new ones.

The encoder becomes smaller, with the same output on your text. It has a
BERT-like architecture and a WordPiece or Unigram tokenizer. Special and added
tokens and the single characters of Arabic, Latin, digits and punctuation are
kept, so new words are split into characters instead of becoming unknown.

Nothing is written unless every text has the same tokens as before and a sample
of them the same outputs.

With --grow N an encoder with a Unigram tokenizer gets N new tokens, learned
from your text, in place of its own. Text then has fewer tokens and costs
less time. The encoder must learn the new tokens: run `rasd adapt` before
`rasd train`.

example: rasd trim intfloat/multilingual-e5-small --text archive/ --out encoders/small
"""

import argparse
from pathlib import Path

from serving.arguments import add_text_field, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd trim`."""
    add_encoder_and_text(parser)
    parser.add_argument(
        "--grow", type=positive, metavar="N", help="learn N new tokens from the text, such as 24000"
    )


def add_encoder_and_text(parser: argparse.ArgumentParser) -> None:
    """Add what a verb needs that makes a new encoder from one and from text."""
    parser.add_argument("encoder", metavar="ENCODER", help="a folder or a Hugging Face hub id")
    parser.add_argument(
        "--text",
        nargs="+",
        required=True,
        metavar="FILE",
        help="anything that `rasd classify` reads; each line or record is one text",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--normalizer",
        choices=("light", "arabert"),
        default="light",
        help="the normaliser that training will use (default: light)",
    )
    add_text_field(parser)


def run(options: argparse.Namespace) -> int:
    """Trim or grow, and print a report."""
    from training.trim.run import grow, trim

    given = {"normalizer": options.normalizer, "text_field": options.text_field}
    if options.grow is None:
        trim(options.encoder, options.text, options.out, **given)
    else:
        grow(options.encoder, options.text, options.out, size=options.grow, **given)
    return 0
