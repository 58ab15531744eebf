"""Which sentences of a shortlist to label: uncertain ones, on different subjects, of every label.

Cluster-margin sampling (Citovsky et al. 2021, "Batch Active Learning at Scale") within equal
shares of the predicted labels: a rare label gets as many places as a common one.
"""

from collections.abc import Mapping, Sequence

from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from serving.records import Record
from training.suggest.shortlist import uncertainty
from training.validate.near_duplicates import near_identical

# How many records per place are looked at. More of them are more diverse and less uncertain.
DEPTH = 3
_WIDTH = 32  # dimensions in which texts are clustered


def choose(shortlists: Mapping[str, Sequence[Record]], count: int, seed: int) -> list[Record]:
    """Return up to `count` records, the most uncertain first, no two near-identical.

    `shortlists` has the records of each predicted label, the most uncertain first. Places that a
    label cannot fill go to more frequent labels. The same arguments give the same records.
    """
    chosen: list[Record] = []
    # Rare labels first, so that what they leave is shared by the others.
    by_size = sorted(shortlists, key=lambda label: (len(shortlists[label]), label))
    before = -1
    while before < len(chosen) < count:
        again = before >= 0  # near-identical records of a frequent label have left places empty
        before = len(chosen)
        for place, label in enumerate(by_size):
            left = count - len(chosen)
            share = max(left // (len(by_size) - place), int(again and left > 0))
            if share:
                found = _distinct(shortlists[label], chosen, share)
                chosen += _spread(found, share, seed)[:share]
    return sorted(chosen, key=uncertainty, reverse=True)


def _distinct(records: Sequence[Record], chosen: list[Record], share: int) -> list[Record]:
    """Return the first records that are near-identical to no earlier and no chosen one.

    Looks at DEPTH records per place, and at more if these leave places empty.
    """
    size = DEPTH * share
    while True:
        texts = [record.text for record in [*chosen, *records[:size]]]
        later = {pair.second - len(chosen) for pair in near_identical(texts)}
        distinct = [record for row, record in enumerate(records[:size]) if row not in later]
        if len(distinct) >= share or size >= len(records):
            return distinct
        size *= 2


def _spread(records: Sequence[Record], clusters: int, seed: int) -> list[Record]:
    """Return the records, the most uncertain one of each cluster of texts before the others."""
    if len(records) <= clusters:
        return list(records)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True)
    matrix = letters.fit_transform([record.text for record in records])
    reduced = TruncatedSVD(min(_WIDTH, *matrix.shape), random_state=seed).fit_transform(matrix)
    numbers = KMeans(clusters, n_init=1, random_state=seed).fit_predict(normalize(reduced))
    first: dict[int, Record] = {}
    rest: list[Record] = []
    for number, record in zip(numbers.tolist(), records, strict=True):
        if first.setdefault(number, record) is not record:
            rest.append(record)
    return [*first.values(), *rest]
