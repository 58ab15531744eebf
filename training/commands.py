"""The sub-commands of the training room; their work is imported only when one runs."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.errors import InputError
from training.labelled.fields import FieldNames, add_options

TRIM = """\
Cut the vocabulary of an encoder to the word pieces that your text uses: smaller, and the same.

ENCODER is of any BERT-like architecture with a WordPiece or Unigram tokenizer. FILE is what `rasd
classify` reads (.txt, .jsonl, .csv, each also as .gz or .xz, and folders); every line or record is
one text. Special and added tokens stay, and so do the single characters of Arabic, Latin, digits
and punctuation, so that words that the text lacks are spelt rather than unknown.

The whole text is then read again: nothing is written unless every line has the same tokens and a
sample of them has the same outputs."""


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add train, evaluate, export, average, trim and validate."""
    train = subparsers.add_parser(
        "train", help="fine-tune, calibrate and export: ends with a bundle"
    )
    train.add_argument("config", type=Path, help="a YAML file such as configs/compact.yaml")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the file, as in --set optimisation.epochs=1 "
        "--set 'data.train=[a.jsonl, b.jsonl]'; paths start in the current folder",
    )
    train.add_argument(
        "--out",
        type=Path,
        help="the run's folder, a new one or that of a run that was killed "
        "(default: the file's `output`)",
    )
    train.set_defaults(run=_train)

    evaluate = subparsers.add_parser(
        "evaluate", help="figures, weak spots and plots of a bundle, alone or against another"
    )
    evaluate.add_argument(
        "labelled",
        type=Path,
        nargs="+",
        help="labelled files: .jsonl, .json (also from Label Studio), .csv or .tsv",
    )
    evaluate.add_argument(
        "--model",
        type=Path,
        help="a bundle's folder, or a model that ships: default (the default) or fast",
    )
    evaluate.add_argument(
        "--compare", type=Path, metavar="DIR", help="a bundle to compare it with, on the same files"
    )
    evaluate.add_argument(
        "--out",
        type=Path,
        help="a folder for report.html, metrics.json and the plots; older ones are replaced",
    )
    add_options(evaluate)
    evaluate.set_defaults(run=_evaluate)

    export = subparsers.add_parser("export", help="a fine-tuned checkpoint to a bundle")
    export.add_argument("checkpoint", type=Path, help="the `checkpoint` folder of a run")
    export.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the bundle's folder, a new one or that of an older bundle",
    )
    export.set_defaults(run=_export)

    average = subparsers.add_parser(
        "average", help="one checkpoint whose weights are the mean of several trainings'"
    )
    average.add_argument(
        "checkpoints", type=Path, nargs="+", help="the `checkpoint` folders of two or more runs"
    )
    average.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the checkpoint's folder, a new one or that of an older one",
    )
    average.set_defaults(run=_average)

    trim = subparsers.add_parser(
        "trim",
        help="an encoder's vocabulary cut to the pieces that the given text uses",
        description=TRIM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trim.add_argument("encoder", metavar="ENCODER", help="a folder or a Hugging Face hub id")
    trim.add_argument(
        "--text", nargs="+", required=True, metavar="FILE", help="files and folders, see above"
    )
    trim.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="a new folder for the encoder"
    )
    trim.add_argument(
        "--normalizer",
        choices=("light", "arabert"),
        default="light",
        help="what cleans the text before the tokenizer; say what training will (default: light)",
    )
    trim.add_argument(
        "--text-field", default="text", metavar="NAME", help="the records' text (default: text)"
    )
    trim.set_defaults(run=_trim)

    validate = subparsers.add_parser(
        "validate", help="check configs, labelled files and bundles before they are used"
    )
    validate.add_argument(
        "files",
        type=Path,
        nargs="+",
        help="any number of labelled files, .yaml files (training, labels) and bundles",
    )
    validate.add_argument(
        "--labels",
        type=Path,
        help="the label scheme to check against (default: configs/labels.yaml)",
    )
    validate.add_argument(
        "--deep",
        action="store_true",
        help="find labels that are probably wrong and near-identical sentences",
    )
    validate.add_argument("-o", "--out", type=Path, help="with --deep: a CSV file of all findings")
    validate.add_argument(
        "--encoder", help="with --deep: a folder or hub id (default: that of configs/compact.yaml)"
    )
    add_options(validate)
    validate.set_defaults(run=_validate)


def _train(options: argparse.Namespace) -> int:
    from training.config import load_config

    config = load_config(options.config, options.set)
    with _training_extra():
        from training.train.run import train

        bundle = train(config, options.out or config.output, command=["rasd", *sys.argv[1:]])
    if os.environ.get("RANK", "0") == "0":  # of several processes under a launcher, one speaks
        sys.stdout.write(f"{bundle}\n")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    with _training_extra():
        from training.evaluate.run import evaluate

        fields = FieldNames.of(options)
        evaluate(options.model, options.labelled, options.out, options.compare, fields)
    return 0


def _export(options: argparse.Namespace) -> int:
    with _training_extra():
        from training.export.run import export_folder

        sys.stdout.write(f"{export_folder(options.checkpoint, options.out)}\n")
    return 0


def _average(options: argparse.Namespace) -> int:
    with _training_extra():
        from training.average import average

        out = average(options.checkpoints, options.out, command=["rasd", *sys.argv[1:]])
    sys.stdout.write(f"{out}\n")
    return 0


def _trim(options: argparse.Namespace) -> int:
    with _training_extra():
        from training.trim.run import trim

        trim(
            options.encoder,
            options.text,
            options.out,
            normalizer=options.normalizer,
            text_field=options.text_field,
        )
    return 0


def _validate(options: argparse.Namespace) -> int:
    if not options.deep and (options.out or options.encoder):
        raise InputError("validate: -o and --encoder go with --deep", "Add --deep.")
    with _training_extra():
        from training.validate.run import label_scheme, validate

        if not options.deep:
            return validate(options.files, options.labels, FieldNames.of(options))
        from training.validate.suspects import validate_deep

        scheme = label_scheme(options.labels)
        fields = FieldNames.of(options)
        validate_deep(options.files, scheme, options.out, options.encoder, fields)
    return 0


@contextmanager
def _training_extra() -> Iterator[None]:
    """Say what to install when a package that serving does without is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"this command needs the package {error.name}, which is not installed",
            "Install the training extra: pip install -e '.[train]' in rasd's folder.",
        ) from error
