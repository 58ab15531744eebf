"""Generated archives: articles made of the shipped sentences, in every format, with repeats.

    python benchmarks/generated.py FOLDER [--articles 20000] [--repeats 0.2] [--seed 1]

Real archives have far more distinct sentences than `data/authored.jsonl`, so in every sentence one
word is replaced by a word of another: lengths and words stay those of news, and nearly all
sentences differ. `--repeats` is the share of articles that another outlet has copied; half of the
copies have a first sentence of their own. A third of all articles also end with one of a few
standing phrases. Articles carry date, source and url. The sixth part of them goes to each format.
"""

import argparse
import csv
import gzip
import json
import random
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

AUTHORED = Path(__file__).parents[1] / "data" / "authored.jsonl"
FIRST_DAY, DAYS = date(2023, 1, 1), 730
OUTLETS = [f"وكالة {name}" for name in ("الساحل", "الميناء", "النهر", "التلال", "الواحة", "الفجر")]
CLOSINGS = (
    "ولم يصدر تعليق فوري من الأطراف المعنية.",
    "وتتابع الوكالة التطورات أولا بأول.",
    "للمزيد من الأخبار تابعوا موقعنا.",
)
RECENT = 2000  # articles that a copy is taken from
FIELDS = ("id", "date", "source", "url", "text")


@dataclass(frozen=True, slots=True)
class Article:
    """One article, its sentences in order."""

    number: int
    day: date
    source: str
    sentences: tuple[str, ...]

    def fields(self) -> dict[str, str]:
        """Return what a record of the archive holds."""
        paragraphs = [self.sentences[at : at + 3] for at in range(0, len(self.sentences), 3)]
        return {
            "id": f"article-{self.number:06d}",
            "date": self.day.isoformat(),
            "source": self.source,
            "url": f"https://news.example/{self.day:%Y/%m}/{self.number}",
            "text": "\n".join(map(" ".join, paragraphs)),
        }


def articles(count: int, repeats: float, seed: int) -> Iterator[Article]:
    """Yield `count` articles in the order of their days."""
    chance = random.Random(seed)
    lines = AUTHORED.read_text(encoding="utf-8").splitlines()
    shipped = [text for line in lines if (text := json.loads(line)["text"])[-1] in ".!؟"]
    recent: deque[tuple[str, ...]] = deque(maxlen=RECENT)
    for number in range(count):
        if recent and chance.random() < repeats:
            sentences = chance.choice(recent)
            if chance.random() < 0.5:
                sentences = (_varied(shipped, chance), *sentences[1:])
        else:
            length = min(30, 2 + int(chance.expovariate(1 / 6)))
            sentences = tuple(_varied(shipped, chance) for _ in range(length))
            if repeats and chance.random() < 1 / 3:
                sentences += (chance.choice(CLOSINGS),)
            recent.append(sentences)
        day = FIRST_DAY + timedelta(days=number * DAYS // count)
        yield Article(number, day, chance.choice(OUTLETS), sentences)


def _varied(shipped: list[str], chance: random.Random) -> str:
    """Return a shipped sentence, one of its inner words replaced by one of another sentence."""
    words = chance.choice(shipped).split()
    if len(words) > 2:
        words[chance.randrange(1, len(words) - 1)] = chance.choice(
            chance.choice(shipped).split()[:-1] or words
        )
    return " ".join(words)


def write_archive(folder: Path, count: int, repeats: float, seed: int = 1) -> None:
    """Write `count` articles to `folder`, in turn as text, JSON Lines, gzip, CSV, TSV and JSON."""
    texts = folder / "texts"
    texts.mkdir(parents=True)
    with ExitStack() as stack:
        plain = stack.enter_context((folder / "a.jsonl").open("w", encoding="utf-8"))
        packed = stack.enter_context(gzip.open(folder / "b.jsonl.gz", "wt", encoding="utf-8"))
        commas, tabs = (
            stack.enter_context((folder / name).open("w", encoding="utf-8", newline=""))
            for name in ("c.csv", "d.tsv")
        )
        array = stack.enter_context((folder / "e.json").open("w", encoding="utf-8"))
        tables = [csv.DictWriter(commas, FIELDS), csv.DictWriter(tabs, FIELDS, dialect="excel-tab")]
        for table in tables:
            table.writeheader()
        array.write("[")
        for article in articles(count, repeats, seed):
            fields = article.fields()
            match article.number % 6:
                case 0:
                    (texts / f"{fields['id']}.txt").write_text(fields["text"], encoding="utf-8")
                case 1 | 2 as place:
                    file = (plain, packed)[place - 1]
                    file.write(json.dumps(fields, ensure_ascii=False) + "\n")
                case 3 | 4 as place:
                    tables[place - 3].writerow(fields)
                case _:
                    array.write(",\n" if article.number > 5 else "\n")
                    json.dump(fields, array, ensure_ascii=False)
        array.write("\n]\n")


def main() -> None:
    """Write an archive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--articles", type=int, default=20_000)
    parser.add_argument("--repeats", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_archive(options.folder, options.articles, options.repeats, options.seed)


if __name__ == "__main__":
    main()
