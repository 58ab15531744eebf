"""Learn the weights of clause cutting from punctuated news whose marks are removed.

Run from the repository: python benchmarks/train_clauses.py CORPUS, a file with one punctuated
article per line (.txt or .txt.xz). Writes serving/text/clause_weights.json. Every article is seen
without any mark and once more with commas, semicolons and pauses, as writers use them in place of
full stops. Needs the train extra (torch); takes a few minutes on one core.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from punctuated import STOP, Article, read_articles, readings

from serving.text.clause_boundaries import BARE, WINDOW, features, with_bare

OUT = Path(__file__).parents[1] / "serving" / "text" / "clause_weights.json"
ARTICLES = 10_000
AFFIXES = 1_000
EPOCHS = 2
BATCH = 8_192
MARKS = ("", BARE, "،", "؛", ":", "..")
# Verbs of saying, an empty line, and what begins, joins or ends clauses: no names. Spelt as
# `features` folds words.
WORDS = Path(__file__).with_name("clause_words.txt")
# Added to every score, in logits. A boundary that is a little less likely than not is still worth
# a cut: so the F1 is best.
BIAS = 0.8


def vocabulary() -> set[str]:
    """Return the words that have weights of their own, with «and» and feminine or plural ends."""
    saying, joining = (part.split() for part in WORDS.read_text(encoding="utf-8").split("\n\n"))
    verbs = {verb + end for verb in saying for end in ("", "ت", "وا", "ا")}
    verbs |= {f"{verb[:-1]}ت" for verb in saying if verb[-1] in "اي"}
    return {start + word for word in {*verbs, *joining} for start in ("", "و", "ف")}


class Examples:
    """Articles as numbers: for every place its words, its mark and whether a sentence ends."""

    def __init__(self, articles: Iterable[Article]) -> None:
        """Read the articles; the affixes that get weights are the most frequent ones."""
        pad = [""] * max(-WINDOW[0], WINDOW[-1])
        words: list[str] = []
        marks: list[int] = []
        ends: list[int] = []
        for number, article in enumerate(articles):
            for reading in readings(article, number):
                shown = with_bare(reading)
                words += [*pad, *article.words, *pad]
                marks += [0] * len(pad) + [MARKS.index(mark) for mark in shown] + [0] * len(pad)
                ends += [-1] * len(pad)
                ends += [int(mark == STOP) for mark in article.marks[:-1]]
                ends += [-1] * (len(pad) + 1)
        counts = Counter(words)
        self.names = [*sorted(vocabulary()), *self._affixes(counts)]
        numbers = {name: number for number, name in enumerate(self.names, 1)}
        distinct = {word: number for number, word in enumerate(counts)}
        rows = [[numbers[f] for f in features(word) if f in numbers] for word in distinct]
        width = max(map(len, rows))
        self.features = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        self.words = torch.tensor([distinct[word] for word in words])
        self.marks, self.ends = torch.tensor(marks), torch.tensor(ends)

    @staticmethod
    def _affixes(counts: Counter[str]) -> list[str]:
        found: Counter[str] = Counter()
        for word, count in counts.items():
            for name in features(word):
                if "-" in name or "<" in name:
                    found[name] += count
        return [name for name, _ in found.most_common(AFFIXES)]


def learn(examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (names + 1, WINDOW) and (MARKS): logistic regression by Adam."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    words = torch.zeros(len(examples.names) + 1, len(WINDOW), requires_grad=True)
    marks = torch.full((len(MARKS),), -3.0, requires_grad=True)
    optimizer = torch.optim.Adam([words, marks], lr=0.005)
    steps = EPOCHS * (len(examples.words) // BATCH)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.005 * (1 - step / steps)
        start = int(torch.randint(-WINDOW[0], len(examples.words) - BATCH - WINDOW[-1], ()))
        part = slice(start, start + BATCH)
        wanted = examples.ends[part]
        known = wanted >= 0
        seen, index = examples.words[start + WINDOW[0] : start + BATCH + WINDOW[-1]].unique(
            return_inverse=True
        )
        sums = torch.nn.functional.embedding_bag(
            examples.features[seen], words, mode="sum", padding_idx=0
        )[index]
        logits = marks[examples.marks[part]]
        for slot in range(len(WINDOW)):
            logits = logits + sums[slot : slot + BATCH, slot]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits[known], wanted[known].float()
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 200 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.4f}", flush=True)
    return words.detach(), marks.detach()


def main() -> None:
    """Learn and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    corpus: Path = parser.parse_args().corpus
    articles = list(read_articles(corpus, held_out=False))
    chosen = random.Random(0).sample(articles, min(ARTICLES, len(articles)))
    examples = Examples(chosen)
    words, marks = learn(examples)
    hundredths = (words[1:] * 100).round().int().tolist()
    table = {
        "marks": dict(zip(MARKS, ((marks + BIAS) * 100).round().int().tolist(), strict=True)),
        "words": {
            name: row
            for name, row in sorted(zip(examples.names, hundredths, strict=True))
            if any(row)
        },
    }
    lines = json.dumps(table, ensure_ascii=False, separators=(",", ":")).replace("],", "],\n")
    OUT.write_text(lines + "\n", encoding="utf-8")
    print(f"{OUT}: {len(table['words'])} features, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
