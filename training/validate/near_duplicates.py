"""Near-identical sentences: pairs with similar letters, and the groups that they form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

from training.arrays import IntArray

_ALIKE = 0.8
"""Two sentences with at least this cosine similarity are near-identical."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Two rows, the smaller first, and the similarity of their texts (0 to 1)."""

    first: int
    second: int
    similarity: float


def near_identical(texts: Sequence[str]) -> list[Twins]:
    """Return the pairs of near-identical texts, the most similar first.

    The similarity is the cosine of TF-IDF vectors of 3 to 5 characters within words.
    """
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    matrix = vectors.fit_transform(texts)
    search = NearestNeighbors(radius=1 - _ALIKE, metric="cosine", algorithm="brute").fit(matrix)
    graph = search.radius_neighbors_graph(mode="distance").tocoo()
    pairs = [
        Twins(int(a), int(b), 1 - float(distance))
        for a, b, distance in zip(graph.row, graph.col, graph.data, strict=True)
        if a < b
    ]
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def groups(pairs: Sequence[Twins], size: int) -> IntArray:
    """Return the group number of each of `size` rows; twins, and twins of twins, share one."""
    ones = np.ones(len(pairs))
    rows = [pair.first for pair in pairs]
    columns = [pair.second for pair in pairs]
    graph = coo_array((ones, (rows, columns)), shape=(size, size))
    numbers: IntArray = connected_components(graph, directed=False)[1]
    return numbers
