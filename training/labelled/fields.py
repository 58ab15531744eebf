"""Which fields of a labelled file hold the text and the label, and the options that say so."""

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The fields that hold text and label; None means `text` and `label`.

    Where there is no `text`, None also means the only one of USUAL_TEXT_FIELDS. In a Label Studio
    export they are a key of `data` and the name of a Choices control; with None the tasks
    themselves must show them.
    """

    text: str | None = None
    label: str | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> "FieldNames":
        """Return what the options of `add_options` name."""
        return cls(options.text_field, options.label_field)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --text-field and --label-field."""
    parser.add_argument(
        "--text-field",
        metavar="NAME",
        help="the field with the text; in Label Studio exports a key of `data` (default: text, or "
        "another usual name such as body)",
    )
    parser.add_argument(
        "--label-field",
        metavar="NAME",
        help="the field with the label; in Label Studio exports the name of the Choices control "
        "(default: label, or the only control)",
    )
