"""From an archive to the file of sentences to label."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from serving.classifier import Classifier
from serving.errors import InputError
from serving.terminal import counted
from serving.text.normalize import NORMALIZERS
from training.labelled.records import read_archive
from training.labelled.splits import leak_key
from training.suggest.choose import DEPTH, choose
from training.suggest.outputs import check_output, write
from training.suggest.shortlist import shortlist


def suggest(options: argparse.Namespace) -> None:
    """Write what the options of `rasd suggest` ask for; nothing is written if the input is bad."""
    check_output(options.output, [Path(name) for name in options.archive])
    classifier = Classifier.load(options.model, threads=options.threads)
    normalize = NORMALIZERS[classifier.bundle.manifest.normalizer.name].apply
    shortlists = shortlist(
        read_archive(options, options.archive, classifier),
        DEPTH * options.count,
        key=lambda text: leak_key(text, normalize),
    )
    if not shortlists:
        raise InputError(
            f"{', '.join(options.archive)}: no sentence to choose from",
            "Name files or folders with text.",
        )
    chosen = choose(shortlists, options.count, options.seed)
    files = write(chosen, classifier.bundle.scheme, options.output)
    counts = Counter(record.label for record in chosen)
    labels = ", ".join(f"{name} {counts[name]:,}" for name in classifier.bundle.scheme.names)
    names = " and ".join(map(str, files))
    sys.stdout.write(f"{names}: {counted(len(chosen), 'sentence')}: {labels}\n")
    if len(chosen) < options.count:
        sys.stderr.write(
            f"rasd: fewer than {options.count:,}: no others are left that are not near-identical\n"
        )
