"""Adapt an encoder to your news by masked language modelling.

The encoder guesses words that are hidden in unlabelled text, as in its
pretraining. It then knows the names and the wording of that text before
`rasd train` sees a label; name its folder as `encoder` there. An encoder with
new tokens (`rasd trim --grow`) learns them in this way.

Worth it with a GPU and many megabytes of text. A run that was interrupted is
resumed by its own command.

example: rasd adapt encoders/small --text archive/ --out encoders/adapted
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd adapt`."""
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
    parser.add_argument(
        "--text-field", default="text", metavar="NAME", help="field or column (default: text)"
    )
    parser.add_argument(
        "--epochs", type=int, default=1, metavar="N", help="passes over the text (default: 1)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=256, metavar="N", help="texts per batch (default: 256)"
    )
    parser.add_argument(
        "--learning-rate", type=float, default=4e-4, metavar="X", help="peak (default: 4e-4)"
    )


def run(options: argparse.Namespace) -> int:
    """Adapt and print a report."""
    from training.adapt.run import Plan, adapt

    plan = Plan(
        normalizer=options.normalizer,
        text_field=options.text_field,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
    )
    adapt(options.encoder, options.text, options.out, plan)
    return 0
