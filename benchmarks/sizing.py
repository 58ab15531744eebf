"""How many cores a number of articles a day needs, from measured sentences per second.

    python benchmarks/sizing.py [--sentences 12] [--use 0.7] NAME=SPEED ...

SPEED is what `benchmarks/archive.py` or `benchmarks/classify.py` measured, in sentences per second
and core. `--sentences` is the length of an article, `--use` the share of a day that a core works:
the rest is for failed nodes and peaks.
"""

import argparse
import math

DAY = 86_400
ARTICLES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


def cores(articles: int, sentences: float, speed: float, use: float) -> int:
    """Return the cores for `articles` a day at `speed` sentences per second and core."""
    return math.ceil(articles * sentences / (speed * DAY * use))


def named_speed(text: str) -> tuple[str, float]:
    """Read NAME=SPEED."""
    name, _, speed = text.partition("=")
    if not name or not (value := float(speed)) > 0:
        raise ValueError
    return name, value


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("speeds", nargs="+", type=named_speed, metavar="NAME=SPEED")
    parser.add_argument("--sentences", type=float, default=12)
    parser.add_argument("--use", type=float, default=0.7)
    options = parser.parse_args()
    speeds = dict(options.speeds)
    print("| articles a day | " + " | ".join(f"cores, {name}" for name in speeds) + " |")
    print("| ---: |" + " ---: |" * len(speeds))
    for articles in ARTICLES:
        needed = (
            f"{cores(articles, options.sentences, speed, options.use):,}"
            for speed in speeds.values()
        )
        print(f"| {articles:,} | {' | '.join(needed)} |")


if __name__ == "__main__":
    main()
