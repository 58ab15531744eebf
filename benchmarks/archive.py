"""Speed and memory of `rasd classify` on a generated archive, beside `Classifier` alone.

    python benchmarks/archive.py [--articles 20000] [--model MODEL] [--repeats 0.2]
    python benchmarks/archive.py --articles 200000 --unlabelled

One run labels an archive without repeats, then one with repeats, with the cache on and off, and
lets `Classifier` alone score the first 5,000 sentences of the former, before and after. It prints:

- the start-up, measured on one sentence; it is part of the runs below
- sentences per second from files to files, and CPU time per sentence, which other work on the
  machine hardly changes; both as a share of `Classifier` alone
- peak memory
- how far the remaining time on the progress line was off after one minute, as a share of the time
  that really remained, and the worst later, as a share of the whole run
- the articles a day and core that follow, and the command that makes a table of sizes

`--unlabelled` leaves out the model: everything is read, split and written, with the same answer for
every sentence. That shows the memory of a large archive in minutes. Generating 200,000 articles
needs 0.5 GB of disk.
"""

import argparse
import os
import pty
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from generated import articles, write_archive

from serving.archive.labeller import Job, Labeller
from serving.archive.outputs import output_format
from serving.archive.parts import PartSummary
from serving.archive.plan import plan
from serving.classifier import Classifier
from serving.files.fields import ReadOptions
from serving.files.sources import find_sources
from serving.machine import available_cores, cpu_flags
from serving.records import Prediction, Sentence
from serving.text.sentences import split_sentences

ALONE = 5000  # sentences that `Classifier` alone scores
DAY = 86_400
MINUTE = 60.0
RASD = Path(sys.executable).with_name("rasd")
_REMAINING = re.compile(r"(\d+):(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Speed:
    """Sentences, and the seconds and CPU seconds that they took."""

    sentences: int
    seconds: float
    cpu: float

    @property
    def per_second(self) -> float:
        """Sentences per second."""
        return self.sentences / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU seconds per sentence."""
        return self.cpu / self.sentences

    def __add__(self, other: "Speed") -> "Speed":
        return Speed(
            self.sentences + other.sentences, self.seconds + other.seconds, self.cpu + other.cpu
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: its speed, its peak memory in MB, and the remaining time it showed.

    `shown` has the seconds since the start and the remaining seconds.
    """

    speed: Speed
    memory: float
    shown: list[tuple[float, float]]

    def remaining_off(self) -> str:
        """Say how far the remaining time was off: after a minute, and the worst later."""
        took = self.speed.seconds
        later = [(at, left) for at, left in self.shown if at >= MINUTE]
        if took < 1.5 * MINUTE or not later:
            return "too short"
        at, left = later[0]
        first = abs(at + left - took) / (took - at)
        return f"{first:.0%}, {max(abs(at + left - took) / took for at, left in later):.0%}"


def classify(archive: Path, output: Path, *options: str) -> Run:
    """Run `rasd classify` on a terminal of its own, so that it shows its progress."""
    ours, theirs = pty.openpty()
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(RASD), "classify", str(archive), "-o", str(output), *options],
        stderr=theirs,
        env=os.environ | {"TERM": "xterm"},  # on a dumb one there would be no progress line
    )
    os.close(theirs)
    shown: list[tuple[float, float]] = []
    while True:
        try:
            block = os.read(ours, 65536).decode(errors="replace")
        except OSError:  # the terminal is closed
            break
        if times := _REMAINING.findall(block):
            hours, minutes, seconds = map(int, times[-1])
            shown.append((time.perf_counter() - started, hours * 3600 + minutes * 60 + seconds))
    os.close(ours)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - started
    if status:
        raise SystemExit(f"rasd classify ended with {os.waitstatus_to_exitcode(status)}")
    with output.open("rb") as file:
        sentences = sum(1 for _ in file)
    speed = Speed(sentences, took, usage.ru_utime + usage.ru_stime)
    return Run(speed, usage.ru_maxrss / 1024, shown)


def alone(classifier: Classifier, count: int) -> Speed:
    """Return the speed of `Classifier` on the first sentences of the archive without repeats."""
    texts = (text for article in articles(count, 0, 1) for text in article.sentences)
    sentences = list(islice(texts, ALONE))
    classifier.classify(sentences[:64])
    started, cpu = time.perf_counter(), time.process_time()
    classifier.classify(sentences)
    return Speed(len(sentences), time.perf_counter() - started, time.process_time() - cpu)


class _SameAnswer:
    """Stands in for a model where only reading, splitting and writing are measured."""

    model = "none"
    _answer = Prediction("other", 1.0, {"other": 1.0}, certain=True, truncated=False)

    def split(self, document: str) -> list[Sentence]:
        return split_sentences(document)

    def classify(self, sentences: Sequence[str]) -> list[Prediction]:
        return [self._answer] * len(sentences)


def read_split_write(archive: Path, folder: Path) -> None:
    """Do everything but labelling; print its speed and the peak memory of this process."""
    folder.mkdir()
    options = ReadOptions()
    job = Job(options, folder, output_format("jsonl"), cache=100_000, strict=False)
    labeller, total = Labeller(job, _SameAnswer()), PartSummary()
    started = time.perf_counter()
    slices = plan(find_sources([str(archive)]), lines=False, text_fields=options.text_names)
    for part in labeller.label(enumerate(slices)):
        total += part
    took = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{total.records:,} articles, {total.sentences:,} sentences, {len(slices)} slices: read, "
        f"split and written in {took:.0f} s ({total.sentences / took:,.0f} sentences/s); "
        f"{total.repeats / total.sentences:.0%} repeats found by the cache; {memory:.0f} MB"
    )


def main() -> None:
    """Generate the archives, run, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--articles", type=int, default=20_000)
    parser.add_argument("--repeats", type=float, default=0.2)
    parser.add_argument("--model", default="cascade")
    parser.add_argument("--unlabelled", action="store_true")
    options = parser.parse_args()
    print(f"{available_cores()} cores; {' '.join(cpu_flags())}; {options.articles:,} articles")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_archive(folder / "repeats", options.articles, options.repeats)
        if options.unlabelled:
            read_split_write(folder / "repeats", folder / "out")
            return
        write_archive(folder / "distinct", options.articles, 0)
        compare(folder, options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Label both archives and print how fast."""
    output = folder / "out.jsonl"
    model = ("--model", options.model)
    (folder / "one.txt").write_text("نفت الوزارة الأنباء.", encoding="utf-8")
    start_up = classify(folder / "one.txt", output, *model).speed
    print(f"{options.model}: start-up {start_up.seconds:.1f} s, {start_up.cpu:.1f} s of CPU time")
    classifier = Classifier.load(options.model)
    first = alone(classifier, options.articles)
    runs = {
        title: classify(folder / archive, output, *model, "--cache", cache)
        for title, archive, cache in (
            ("distinct sentences", "distinct", "100000"),
            ("distinct sentences, no cache", "distinct", "0"),
            (f"{options.repeats:.0%} copies", "repeats", "100000"),
            (f"{options.repeats:.0%} copies, no cache", "repeats", "0"),
        )
    }
    last = alone(classifier, options.articles)
    base = first + last
    print(f"Classifier alone, before {first.per_second:.0f}, after {last.per_second:.0f}\n")
    columns = ("sentences/s", "of alone", "CPU ms each", "of alone", "MB", "remaining off")
    print(f"{'':30}{''.join(f'{column:>14}' for column in columns)}")
    print(f"{'Classifier alone':30}{base.per_second:14.0f}{1:13.2f}x{1000 * base.cpu_each:14.2f}")
    for title, run in runs.items():
        speed, cpu = run.speed.per_second, run.speed.cpu_each
        print(
            f"{title:30}{speed:14.0f}{speed / base.per_second:13.2f}x{1000 * cpu:14.2f}"
            f"{base.cpu_each / cpu:13.2f}x{run.memory:14.0f}{run.remaining_off():>14}"
        )
    distinct = runs["distinct sentences"].speed
    cores = available_cores()
    print(f"\narticles a day and core: {options.articles / distinct.seconds * DAY / cores:,.0f}")
    speed = f"{options.model}={distinct.per_second / cores:.0f}"
    print(f"a table of sizes: python benchmarks/sizing.py {speed}")


if __name__ == "__main__":
    main()
