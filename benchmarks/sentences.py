"""Quality and speed of sentence splitting, beside pysbd's Arabic rules.

    python benchmarks/sentences.py

F1 counts the sentence ends in the golden articles of the tests, without each article's last end. We
wrote these articles ourselves, all but one before the splitter, so they show the intended behaviour
rather than which splitter is better. Speed is CPU time, the best of three rounds over the authored
sentences in paragraphs of five. Needs the dev extra (pysbd).
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from serving.text.sentences import split_sentences

try:
    import pysbd
except ImportError as error:
    raise SystemExit("benchmarks/sentences.py needs pysbd: pip install 'rasd[dev]'") from error

ROOT = Path(__file__).parents[1]
ARTICLES = ROOT / "tests" / "serving" / "text" / "articles"
MEGABYTE = 1_000_000
# Strings that a hostile document might repeat; splitting must still take linear time.
HOSTILE = (
    ".",
    ". ",
    "أ. ",
    '"',
    '". ',
    "(",
    "(ا. ",
    "«",
    "\n",
    "ا\n",
    "@",
    "- (@",
    "t.co/a ",
    "1.",
)
Splitter = Callable[[str], set[int]]


def our_ends(document: str) -> set[int]:
    """Return the offsets at which our sentences end."""
    return {sentence.end for sentence in split_sentences(document)}


def pysbd_ends(document: str) -> set[int]:
    """Return the offsets at which pysbd's sentences end, without white space."""
    segmenter = pysbd.Segmenter(language="ar", clean=False, char_span=True)
    spans = segmenter.segment(document)
    return {span.start + len(document[span.start : span.end].rstrip()) for span in spans}


def boundary_f1(splitter: Splitter) -> float:
    """Return the F1 of sentence ends over all golden articles."""
    right = proposed = true = 0
    for path in ARTICLES.glob("*.txt"):
        pieces = path.read_text(encoding="utf-8").split("\n\n", 1)[1].split("¦")[:-1]
        document = "".join(pieces)
        golden = {len("".join(pieces[: count + 1])) for count in range(len(pieces) - 1)}
        ours = splitter(document) - {len(document)}
        right += len(golden & ours)
        proposed += len(ours)
        true += len(golden)
    return 2 * right / (proposed + true)


def news(size: int) -> str:
    """Return at least `size` bytes of paragraphs."""
    lines = (ROOT / "data" / "authored.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    paragraphs = [" ".join(texts[start : start + 5]) for start in range(0, len(texts), 5)]
    unit = "\n".join(paragraphs) + "\n"
    repeated = unit * (size // len(unit.encode()) + 1)
    return repeated.encode()[:size].decode(errors="ignore")


def seconds(splitter: Splitter, document: str, rounds: int = 3) -> float:
    """Return the seconds of the fastest of some rounds over `document`."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        splitter(document)
        best = min(best, time.process_time() - start)
    return best


def worst_growth() -> float:
    """Return how many times longer eight times the text takes, in the worst case of `HOSTILE`."""
    sizes = (MEGABYTE // 8, MEGABYTE)
    times = [[seconds(our_ends, unit * (size // len(unit))) for size in sizes] for unit in HOSTILE]
    return max(long / short for short, long in times)


def main() -> None:
    """Measure and print the table."""
    small, large = (seconds(our_ends, news(size)) for size in (MEGABYTE, 10 * MEGABYTE))
    pysbd_small = seconds(pysbd_ends, news(MEGABYTE), rounds=1)
    count = len(list(ARTICLES.glob("*.txt")))
    table = Table(title=f"{count} golden articles; speed in CPU time")
    for column in ("splitter", "boundary F1", "MB/s, 1 MB", "MB/s, 10 MB", "10 MB takes"):
        table.add_column(column, justify="left" if column == "splitter" else "right")
    table.add_row(
        "rasd",
        f"{boundary_f1(our_ends):.3f}",
        f"{1 / small:.1f}",
        f"{10 / large:.1f}",
        f"{large / small:.1f} times 1 MB",
    )
    table.add_row(
        "pysbd", f"{boundary_f1(pysbd_ends):.3f}", f"{1 / pysbd_small:.2f}", "not run", "not run"
    )
    Console().print(table)
    Console().print(
        f"Of {len(HOSTILE)} hostile repetitions the worst takes {worst_growth():.1f} times as long "
        "for 1 million characters as for an eighth of them."
    )


if __name__ == "__main__":
    main()
