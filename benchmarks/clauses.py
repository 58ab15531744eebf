"""How well text without full stops is cut: boundary F1, and labels beside those of true sentences.

Run from the repository: python benchmarks/clauses.py CORPUS, a file with one punctuated article
per line (.txt or .txt.xz), of which the training script left every 20th out. Each held-out article
is made one line without marks, and once more with commas, semicolons and pauses where its full
stops were. Compared: `serving.text.clauses`; rules (a cut before «and» with a verb of saying, and
before a list of joining words); and windows of as many words as fit. F1 counts the ends of
sentences, each article's last aside. A label agrees if a true sentence, with its marks, has the
label of the piece that holds most of it. Takes a few minutes on two cores.
"""

import argparse
import random
import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path

from punctuated import Article, read_articles, readings
from rich.console import Console
from rich.table import Table

from serving.classifier import Classifier
from serving.records import Prediction, Sentence
from serving.text.clauses import cut_clauses

ARTICLES = 400
LABELLED = 40  # articles whose sentences are also classified
MODELS = ("fast", "default")
OTHER = "other"
RULES = re.compile(
    r"و(?:قال|[أا]ضاف|[أا]كد|[أا]علن|[أا]وضح|ذكر|[أا]فاد|[أا]شار|نقل|نف[ىت]|[أا]دان|ندد|تابع|صرح|كشف"
    r"|شدد|حذر|طالب|دع[ات]|اتهم|تبن[ىت]|زعم|لفت|تعهد|هدد|رفض)(?:ت|وا)?"
    r"|فيما|بينما|وكانت?|وقد|كما|ولم|وي[أا]تي|وت[أا]تي|وبحسب|ووفقا|يذكر|يشار"
)
Cutter = Callable[[str, Classifier], list[str]]


def clauses(text: str, classifier: Classifier) -> list[str]:
    """Cut as the product does."""
    whole = Sentence(text, 0, len(text))
    cut = cut_clauses([whole], classifier.count_tokens, classifier.room)
    return [clause.text for clause in cut]


def windows(text: str, classifier: Classifier) -> list[str]:
    """Cut after as many words as fit."""
    words = text.split()
    pieces: list[list[str]] = [[]]
    used = 0
    for word, size in zip(words, classifier.count_tokens(words), strict=True):
        if pieces[-1] and used + size > classifier.room:
            pieces.append([])
            used = 0
        pieces[-1].append(word)
        used += size
    return [" ".join(piece) for piece in pieces]


def rules(text: str, classifier: Classifier) -> list[str]:
    """Cut before the words of RULES, and into windows what is still too long."""
    pieces: list[list[str]] = [[]]
    for word in text.split():
        if pieces[-1] and RULES.fullmatch(word):
            pieces.append([])
        pieces[-1].append(word)
    return [part for piece in pieces for part in windows(" ".join(piece), classifier)]


CUTTERS: dict[str, Cutter] = {"clauses": clauses, "rules": rules, "windows": windows}


def marked(article: Article, marks: Sequence[str]) -> str:
    """Return an article's words with marks after them."""
    return " ".join(word + mark for word, mark in zip(article.words, marks, strict=True))


def ends(pieces: Sequence[str]) -> set[int]:
    """Return the numbers of the words after which a piece ends, the last word's aside."""
    counts = accumulate(len(piece.split()) for piece in pieces[:-1])
    return {count - 1 for count in counts}


def boundary_f1(found: Sequence[set[int]], true: Sequence[set[int]]) -> float:
    """Return the F1 of all articles' ends together."""
    right = sum(len(ours & theirs) for ours, theirs in zip(found, true, strict=True))
    return 2 * right / (sum(map(len, found)) + sum(map(len, true)))


def agreement(
    articles: Sequence[Article],
    true: Sequence[str],
    cut: Sequence[Sequence[str]],
    classifier: Classifier,
) -> tuple[float, float]:
    """Return the share of true sentences whose label the pieces keep: of all, of the named.

    `true` holds the labels of the articles' sentences.
    """
    found = iter(labels([piece for pieces in cut for piece in pieces], classifier))
    expected = iter(true)
    kept: list[tuple[str, bool]] = []
    for article, pieces in zip(articles, cut, strict=True):
        starts = [0, *(end + 1 for end in sorted(ends(pieces))), len(article.words)]
        spans = [(span, next(found)) for span in pairwise(starts)]
        edges = [0, *(end + 1 for end in sorted(article.ends)), len(article.words)]
        for first, last in pairwise(edges):
            shared = [(min(last, end) - max(first, start), label) for (start, end), label in spans]
            wanted = next(expected)
            kept.append((wanted, max(shared)[1] == wanted))
    named = [right for wanted, right in kept if wanted != OTHER]
    return sum(right for _, right in kept) / len(kept), sum(named) / max(1, len(named))


def labels(texts: Sequence[str], classifier: Classifier) -> list[str]:
    """Return the label of every text, OTHER where nothing can be read."""
    answers = classifier.classify(texts)
    return [answer.label if isinstance(answer, Prediction) else OTHER for answer in answers]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    held_out = list(read_articles(parser.parse_args().corpus, held_out=True))
    articles = random.Random(0).sample(held_out, min(ARTICLES, len(held_out)))
    true = [article.ends for article in articles]
    count = sum(len(article.sentences) for article in articles)
    few = articles[:LABELLED]
    sentences = [sentence for article in few for sentence in article.sentences]
    models = [Classifier.load(name) for name in MODELS]
    expected = [labels(sentences, model) for model in models]
    named = sum(label != OTHER for label in expected[-1])
    table = Table(
        title=f"{len(articles)} held-out articles of {count:,} sentences; labels of "
        f"{len(sentences):,}, {named} of them named"
    )
    table.add_column("cut by")
    for column in ("F1, no marks", "F1, commas", *(f"labels, {n} (named)" for n in MODELS)):
        table.add_column(column, justify="right")
    shown = [list(readings(article, number)) for number, article in enumerate(articles)]
    for name, cutter in CUTTERS.items():
        bare, commas = (
            [
                cutter(marked(article, marks[reading]), models[0])
                for article, marks in zip(articles, shown, strict=True)
            ]
            for reading in (0, 1)
        )
        shares = [
            agreement(few, true_labels, [cutter(article.text, model) for article in few], model)
            for model, true_labels in zip(models, expected, strict=True)
        ]
        table.add_row(
            name,
            *(f"{boundary_f1([ends(p) for p in pieces], true):.3f}" for pieces in (bare, commas)),
            *(f"{every:.3f} ({of_named:.3f})" for every, of_named in shares),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
