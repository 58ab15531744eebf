"""`rasd validate --deep FILE`: labels that are probably wrong, and near-identical sentences."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_union
from sklearn.preprocessing import StandardScaler

from serving.atomic import atomic_file
from serving.errors import InputError
from serving.files.csv_cells import neutral
from serving.labels import LabelScheme
from serving.terminal import counted, shown
from serving.text.normalize import NORMALIZERS
from training.arrays import FloatArray, IntArray
from training.labelled.fields import FieldNames
from training.labelled.reading import DEFAULT_NAMES, read_labelled
from training.labelled.sentence import LabelledSentence
from training.labelled.splits import leak_key
from training.model.embed import embed
from training.validate.confident_learning import margins, suspects
from training.validate.near_duplicates import Twins, groups, near_identical

Kind = Literal["conflict", "label", "duplicate"]

FOLDS = 5
# With fewer sentences of a label, the probabilities of a fold are useless.
_FEWEST = 2 * FOLDS
_SHOWN = 10

COLUMNS = (
    *("rank", "kind", "file", "line", "text", "label", "probability"),
    *("suggested", "suggested_probability", "similarity"),
    *("twin_file", "twin_line", "twin_label", "twin_text"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A row to review, and the reason.

    `conflict`: its near-identical `twin` has another label. `label`: the probabilities favour
    `suggested`. `duplicate`: its twin has the same label. Probabilities come from models that were
    not trained on the sentence or a near-identical one.
    """

    kind: Kind
    row: int
    suggested: int
    twin: Twins | None


def validate_deep(
    paths: Sequence[Path],
    scheme: LabelScheme,
    out: Path | None,
    encoder: str | None = None,
    fields: FieldNames = DEFAULT_NAMES,
) -> None:
    """Print the first findings in labelled files; write all of them to the CSV file `out`.

    Raises InputError if the files have problems or too few sentences.
    """
    if out is not None and out.is_dir():
        raise InputError(f"{out}: a folder, not a file", "Name a file with -o.")
    normalize = NORMALIZERS["light"].apply
    # Repeated texts are findings here, so none is dropped.
    data = read_labelled(paths, scheme, normalize, "keep", fields)
    sentences = data.sentences
    names = [name for name in scheme.names if data.counts[name]]
    files = ", ".join(map(str, paths))
    if len(names) < 2:
        raise InputError(
            f"{files}: too little data for --deep: all sentences have one label, {names[0]}",
            f"It needs at least two labels with {_FEWEST} sentences each.",
        )
    if few := [name for name in names if data.counts[name] < _FEWEST]:
        counts = ", ".join(f"{name} has {data.counts[name]}" for name in few)
        raise InputError(
            f"{files}: too little data for --deep: {counts}",
            f"Every label needs at least {_FEWEST} sentences: add some, or leave the label out.",
        )
    labels = np.array([names.index(sentence.label) for sentence in sentences])
    texts = [normalize(sentence.text) for sentence in sentences]
    pairs = near_identical([leak_key(text, normalize) or text for text in texts])
    group = groups(pairs, len(texts))
    # A fold with all of a label's sentences would leave none to learn it from.
    if alike := [name for i, name in enumerate(names) if len(set(group[labels == i])) < 2]:
        raise InputError(
            f"{files}: too little data for --deep: all sentences of {', '.join(alike)} are "
            "near-identical",
            "Add sentences that differ, or leave the label out.",
        )
    probabilities = label_probabilities(texts, embed(texts, encoder), labels, group)
    findings = find(labels, probabilities, pairs)
    if out is not None:
        _write(findings, sentences, names, probabilities, out)
    _print(findings, sentences, names, probabilities, out)


def label_probabilities(
    texts: Sequence[str], vectors: FloatArray, labels: IntArray, group: IntArray
) -> FloatArray:
    """Return probabilities (n, k); those of a row come from models not trained on its group.

    They are the mean of two logistic regressions, on the encoder's `vectors` and on TF-IDF of
    characters and words, which make different mistakes (benchmarks/deep_validate.py).
    """
    features = make_union(
        _tfidf(analyzer="char_wb", ngram_range=(2, 5)),
        _tfidf(analyzer="word", ngram_range=(1, 2), token_pattern=r"\w+"),
    )
    by_meaning = out_of_fold(StandardScaler().fit_transform(vectors), labels, group, c=0.01)
    by_letters = out_of_fold(features.fit_transform(texts), labels, group, c=3.0)
    return (by_meaning + by_letters) / 2


def out_of_fold(features: Any, labels: IntArray, group: IntArray, *, c: float) -> FloatArray:
    """Return out-of-fold probabilities (n, k) of a logistic regression; groups are not split.

    `features` (n, width) may be sparse; `c` is the inverse of the regularisation.
    """
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    model = LogisticRegression(C=c, max_iter=2000)
    probabilities: FloatArray = cross_val_predict(
        model, features, labels, groups=group, cv=folds, method="predict_proba"
    )
    return probabilities


def _tfidf(**options: Any) -> TfidfVectorizer:
    return TfidfVectorizer(min_df=2, sublinear_tf=True, **options)


def find(labels: IntArray, probabilities: FloatArray, pairs: Sequence[Twins]) -> list[Finding]:
    """Return the findings, most likely errors first: conflicts, labels, duplicates; no row twice.

    A conflict is reported for the row with the less probable label.
    """
    margin = margins(labels, probabilities)
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    suggested = others.argmax(axis=1)
    conflicts = {
        min((pair.first, pair.second), key=margin.__getitem__): pair
        for pair in reversed(pairs)
        if labels[pair.first] != labels[pair.second]
    }
    found = [
        Finding("conflict", row, int(labels[_other(pair, row)]), pair)
        for row, pair in sorted(conflicts.items(), key=lambda item: margin[item[0]])
    ]
    seen = set(conflicts)
    doubted = [int(row) for row in suspects(labels, probabilities) if int(row) not in seen]
    found += [Finding("label", row, int(suggested[row]), None) for row in doubted]
    seen.update(doubted)
    for pair in pairs:
        if labels[pair.first] == labels[pair.second] and pair.second not in seen:
            found.append(Finding("duplicate", pair.second, int(labels[pair.second]), pair))
            seen.add(pair.second)
    return found


def _other(pair: Twins, row: int) -> int:
    return pair.second if row == pair.first else pair.first


def _write(
    findings: Sequence[Finding],
    sentences: Sequence[LabelledSentence],
    names: Sequence[str],
    probabilities: FloatArray,
    out: Path,
) -> None:
    """Write one row per finding, with a byte order mark so that Excel reads the Arabic."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for rank, finding in enumerate(findings, start=1):
        sentence = sentences[finding.row]
        own = probabilities[finding.row, names.index(sentence.label)]
        twin: tuple[object, ...] = ("",) * 5
        if finding.twin is not None:
            other = sentences[_other(finding.twin, finding.row)]
            twin = (f"{finding.twin.similarity:.3f}", str(other.file), other.line, other.label)
            twin = (*twin, other.text)
        cells = (
            *(rank, finding.kind, str(sentence.file), sentence.line, sentence.text),
            *(sentence.label, f"{own:.3f}", names[finding.suggested]),
            *(f"{probabilities[finding.row, finding.suggested]:.3f}", *twin),
        )
        writer.writerow(neutral(cell) if isinstance(cell, str) else cell for cell in cells)
    with atomic_file(out) as path:
        path.write_text(lines.getvalue(), encoding="utf-8-sig", newline="")


def _print(
    findings: Sequence[Finding],
    sentences: Sequence[LabelledSentence],
    names: Sequence[str],
    probabilities: FloatArray,
    out: Path | None,
) -> None:
    counts = Counter(finding.kind for finding in findings)
    sys.stdout.write(
        f"{counted(len(sentences), 'sentence')}: "
        f"{counted(counts['conflict'], 'near-duplicate')} with another label, "
        f"{counted(counts['label'], 'probable label error')}, "
        f"{counted(counts['duplicate'], 'duplicate')}\n"
    )
    for finding in findings[:_SHOWN]:
        sentence = sentences[finding.row]
        suggested = names[finding.suggested]
        if finding.twin is not None:
            other = sentences[_other(finding.twin, finding.row)]
            why = f"{finding.twin.similarity:.0%} similar to {other.place}, labelled {other.label}"
        else:
            why = f"probably {suggested} ({probabilities[finding.row, finding.suggested]:.0%})"
        sys.stdout.write(f"{shown(f'{sentence.place}: {finding.kind}: {sentence.label}, {why}')}\n")
    if len(findings) > _SHOWN:
        rest = f"and {len(findings) - _SHOWN:,} more"
        where = f"{out} has all of them" if out else "write all of them with -o suspects.csv"
        sys.stdout.write(f"{rest}: {where}\n")
