"""Adapt an encoder to your news by masked language modelling.

The encoder guesses words that are hidden in unlabelled text, as in its
pretraining. So it knows the names and the wording of your news before it
learns labels: name its folder as `encoder` for `rasd train`. An encoder with
new tokens (`rasd trim --grow`) learns them in this way.

It is worth the time with many megabytes of text, and needs a GPU for them. To
resume an interrupted run, repeat its command.

example: rasd adapt encoders/small --text archive/ --out encoders/adapted
"""

import argparse

from serving.arguments import positive
from training.trim.command import add_encoder_and_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `rasd adapt`."""
    add_encoder_and_text(parser)
    parser.add_argument(
        "--epochs", type=positive, default=1, metavar="N", help="passes over the text (default: 1)"
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=256,
        metavar="N",
        help="texts per batch (default: 256)",
    )
    parser.add_argument(
        "--learning-rate",
        type=_rate,
        default=4e-4,
        metavar="X",
        help="peak learning rate (default: 4e-4)",
    )


def _rate(text: str) -> float:
    """Read a learning rate, above 0 and up to 0.1."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 0.1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 0.1")
    return rate


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
