"""Which sentences of a shortlist to label: uncertain ones, on different subjects, of every label.

Cluster-margin sampling (Citovsky et al. 2021, "Batch Active Learning at Scale") within equal
shares of the predicted labels: a rare label gets as many places as a common one.
"""

import math
from collections.abc import Mapping, Sequence

from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from serving.records import Record
from training.suggest.shortlist import uncertainty
from training.validate.near_duplicates import near_identical

# How many records per place a shortlist should have. More of them are more diverse and less
# uncertain.
DEPTH = 5
_SPARE = 2  # clusters per place: some are near-duplicates of others
_WIDTH = 64  # dimensions in which texts are clustered


def choose(shortlists: Mapping[str, Sequence[Record]], count: int, seed: int) -> list[Record]:
    """Return up to `count` records, the most uncertain first, no two near-identical.

    `shortlists` has the records of each predicted label, the most uncertain first. Places that a
    label cannot fill go to more frequent labels. The same arguments give the same records.
    """
    # Rare labels first, so that what they leave is shared by the others.
    by_size = sorted(shortlists, key=lambda label: (len(shortlists[label]), label))
    spread = {
        label: _spread(shortlists[label], _SPARE * math.ceil(count / len(by_size)), seed)
        for label in by_size
    }
    distinct = _without_twins([record for label in by_size for record in spread[label]])
    chosen: list[Record] = []
    for place, label in enumerate(by_size):
        share = (count - len(chosen)) // (len(by_size) - place)
        chosen += [record for record in distinct if record.label == label][:share]
    return sorted(chosen, key=uncertainty, reverse=True)


def _spread(records: Sequence[Record], clusters: int, seed: int) -> list[Record]:
    """Return the most uncertain record of each cluster of texts, the most uncertain first."""
    if len(records) <= clusters:
        return list(records)
    texts = [record.text for record in records]
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True)
    matrix = letters.fit_transform(texts)
    reduced = TruncatedSVD(min(_WIDTH, *matrix.shape), n_iter=2, random_state=seed).fit_transform(
        matrix
    )
    vectors = normalize(reduced)
    numbers = MiniBatchKMeans(clusters, n_init=1, random_state=seed).fit_predict(vectors)
    first: dict[int, Record] = {}
    for number, record in zip(numbers.tolist(), records, strict=True):
        first.setdefault(number, record)
    return list(first.values())


def _without_twins(records: Sequence[Record]) -> list[Record]:
    """Return the records without those that are near-identical to an earlier one."""
    if len(records) < 2:
        return list(records)
    later = {pair.second for pair in near_identical([record.text for record in records])}
    return [record for row, record in enumerate(records) if row not in later]
