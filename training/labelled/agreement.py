"""How far annotators of the same sentences agree, beyond what chance would give.

Cohen, "A coefficient of agreement for nominal scales" (1960), for two annotators; Fleiss,
"Measuring nominal scale agreement among many raters" (1971), for more.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from serving.terminal import counted


def agreement(rated: Sequence[Mapping[str, str]]) -> str | None:
    """Return how far annotators agree, in a sentence; None if none of them shared a text.

    `rated` has one item per text: the label of each annotator.
    """
    rated = [by for by in rated if len(by) > 1]
    if not rated:
        return None
    who = sorted({name for by in rated for name in by})
    same = sum(len(set(by.values())) == 1 for by in rated)
    if len(who) == 2:
        name, kappa = "Cohen's", cohen([(by[who[0]], by[who[1]]) for by in rated])
    else:
        name, kappa = "Fleiss'", fleiss([list(by.values()) for by in rated])
    value = "is not defined, as there is one label only" if kappa is None else f"{kappa:.2f}"
    return (
        f"{len(who)} annotators labelled {counted(len(rated), 'sentence')} in common and agree on "
        f"{same:,}; {name} kappa {value}"
    )


def cohen(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Return Cohen's kappa of two annotators' labels; None if chance alone gives agreement."""
    count = len(pairs)
    first, second = (Counter(side) for side in zip(*pairs, strict=True))
    chance = sum(first[label] * second[label] for label in first) / count**2
    return _beyond(sum(one == other for one, other in pairs) / count, chance)


def fleiss(items: Sequence[Sequence[str]]) -> float | None:
    """Return Fleiss' kappa of labels by item, each with two labels or more; None as in `cohen`.

    Items may have different numbers of labels: each counts once in the observed agreement.
    """
    counts = [Counter(item) for item in items]
    observed = sum(
        sum(n * (n - 1) for n in count.values()) / (count.total() * (count.total() - 1))
        for count in counts
    ) / len(counts)
    everything: Counter[str] = sum(counts, Counter())
    chance = sum((n / everything.total()) ** 2 for n in everything.values())
    return _beyond(observed, chance)


def _beyond(observed: float, chance: float) -> float | None:
    return None if chance == 1 else (observed - chance) / (1 - chance)
