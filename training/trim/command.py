"""The command line of `rasd trim`."""

import argparse
from pathlib import Path

DESCRIPTION = """\
Remove the tokens that your text never uses from an encoder's vocabulary: smaller, with the same
output on your text.

ENCODER has a BERT-like architecture and a WordPiece or Unigram tokenizer. FILE is anything that
`rasd classify` reads; each line or record is one text. Special and added tokens and the single
characters of Arabic, Latin, digits and punctuation are kept, so new words are split into
characters instead of becoming unknown.

Nothing is written unless every text has the same tokens as before and a sample of them the same
outputs.

example: rasd trim intfloat/multilingual-e5-small --text archive/ --out encoders/small"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add the sub-command."""
    parser = subparsers.add_parser(
        "trim",
        help="remove unused tokens from an encoder",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("encoder", metavar="ENCODER", help="a folder or a Hugging Face hub id")
    parser.add_argument(
        "--text", nargs="+", required=True, metavar="FILE", help="text files and folders"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder for the encoder"
    )
    parser.add_argument(
        "--normalizer",
        choices=("light", "arabert"),
        default="light",
        help="the normaliser that training will use (default: light)",
    )
    parser.add_argument(
        "--text-field",
        default="text",
        metavar="NAME",
        help="field or column with the text (default: text)",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Trim and print a report."""
    from training.trim.run import trim

    trim(
        options.encoder,
        options.text,
        options.out,
        normalizer=options.normalizer,
        text_field=options.text_field,
    )
    return 0
