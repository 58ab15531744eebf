"""The remaining time of a run follows the text that is left, whatever the files look like."""

import gzip
import json

from serving.archive.labeller import Job
from serving.archive.outputs import output_format
from serving.archive.plan import plan
from serving.archive.run import here
from serving.classifier import Classifier
from serving.files.documents import ReadOptions
from serving.files.sources import find_sources
from serving.progress import SentenceProgress


class Watched(SentenceProgress):
    """Remembers sentences and bytes at every update."""

    def __init__(self) -> None:
        super().__init__(None, visible=False)
        self.seen: list[tuple[int, float]] = []

    def update(self, sentences, position):
        super().update(sentences, position)
        self.seen.append((self.sentences, position))


def label(folder, progress):
    sources = find_sources([str(folder / "in")])
    slices = [
        slice_ for source in sources for slice_ in plan([source], lines=False, text_fields=["text"])
    ]
    (folder / "out").mkdir(exist_ok=True)
    options = ReadOptions()
    job = Job(options, folder / "out", output_format("jsonl"), cache=100_000, strict=True)
    list(here(job, Classifier.load("fast", threads=2), slices, progress))
    return sum(source.work for source in sources)


def test_a_compressed_file_counts_as_the_text_that_it_holds(authored, tmp_path):
    (tmp_path / "in").mkdir()
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in authored[:600])
    (tmp_path / "in" / "a.jsonl").write_text(text, "utf-8")
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    progress = Watched()
    total = label(tmp_path, progress)
    assert progress.seen[-1][1] == total
    half = next(position for sentences, position in progress.seen if sentences >= 600)
    assert 0.4 < half / total < 0.6
    # A run that finds everything done has done all bytes, and no sentence of its own.
    again = Watched()
    assert label(tmp_path, again) == again.seen[-1][1]
    assert again.sentences == 0
