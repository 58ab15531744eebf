"""Speed and memory of `rasd classify` on a generated archive, beside `Classifier` alone.

    python benchmarks/archive.py [--articles 20000] [--model MODEL] [--repeats 0.2]
    python benchmarks/archive.py --articles 200000 --unlabelled

One run labels an archive without repeats, then one with repeats, with the cache on and off, and
lets `Classifier` alone score the first sentences of the former. It prints sentences per second from
files to files, the share of `Classifier`'s speed, peak memory, how far the progress line's
remaining time was off after a minute, and the articles a day that follow. `--unlabelled` leaves
out the model: everything is read, split and written, with the same answer for every sentence. That
shows the memory of a large archive in minutes. Generating 200,000 articles needs 0.5 GB of disk.
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

ALONE = 2000  # sentences that `Classifier` alone scores
DAY = 86_400
_REMAINING = re.compile(r"(\d+):(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: its seconds, the sentences that it wrote, its peak memory in MB.

    `eta_error` is how far the remaining time that it showed after a minute was off, as a share of
    the whole run; None for a run of less than a minute and a half.
    """

    seconds: float
    sentences: int
    memory: float
    eta_error: float | None

    @property
    def speed(self) -> float:
        """Sentences per second."""
        return self.sentences / self.seconds


def classify(archive: Path, output: Path, *options: str) -> Run:
    """Run `rasd classify` on a terminal of its own, so that it shows its progress."""
    command = [str(Path(sys.executable).with_name("rasd")), "classify", str(archive)]
    ours, theirs = pty.openpty()
    started = time.perf_counter()
    process = subprocess.Popen([*command, "-o", str(output), *options], stderr=theirs)
    os.close(theirs)
    shown: list[tuple[float, float]] = []  # seconds since the start, remaining seconds
    while True:
        try:
            block = os.read(ours, 65536).decode(errors="replace")
        except OSError:  # the terminal is closed
            break
        if times := _REMAINING.findall(block):
            hours, minutes, seconds = map(int, times[-1])
            shown.append((time.perf_counter() - started, hours * 3600 + minutes * 60 + seconds))
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - started
    if status:
        raise SystemExit(f"rasd classify ended with {os.waitstatus_to_exitcode(status)}")
    late = next(((at, left) for at, left in shown if at >= 60), None)
    error = abs(late[0] + late[1] - took) / took if late and took > 90 else None
    with output.open("rb") as file:
        sentences = sum(1 for _ in file)
    return Run(took, sentences, usage.ru_maxrss / 1024, error)


def alone(model: str, repeats: float, count: int) -> float:
    """Return the sentences per second of `Classifier` on the first sentences of the archive."""
    texts = (text for article in articles(count, repeats, 1) for text in article.sentences)
    sentences = list(islice(texts, ALONE))
    classifier = Classifier.load(Path(model))
    classifier.classify(sentences[:64])
    started = time.perf_counter()
    classifier.classify(sentences)
    return len(sentences) / (time.perf_counter() - started)


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
    for number, sources in enumerate(slices):
        for part in labeller.label(number, sources):
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
    parser.add_argument("--model", default="default")
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
    base = alone(options.model, 0, options.articles)
    print(f"{options.model}: Classifier alone {base:.0f} sentences/s\n")
    print(f"{'rasd classify':30}{'sentences/s':>12}{'of alone':>10}{'MB':>7}{'ETA off':>9}")
    speeds = []
    for title, archive, cache in (
        ("distinct sentences", "distinct", "100000"),
        (f"{options.repeats:.0%} copies, cache", "repeats", "100000"),
        (f"{options.repeats:.0%} copies, no cache", "repeats", "0"),
    ):
        run = classify(
            folder / archive, folder / "out.jsonl", "--model", options.model, "--cache", cache
        )
        off = "–" if run.eta_error is None else f"{run.eta_error:.0%}"
        share = run.speed / base
        print(f"{title:30}{run.speed:12.0f}{share:9.2f}x{run.memory:7.0f}{off:>9}", flush=True)
        speeds.append(options.articles / run.seconds)
    again = alone(options.model, 0, options.articles)
    print(f"\nClassifier alone, again at the end: {again:.0f} sentences/s")
    print(f"articles a day and core, as measured: {speeds[0] * DAY / available_cores():,.0f}")


if __name__ == "__main__":
    main()
